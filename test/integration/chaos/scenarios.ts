/** All scenarios, in the order in which they run: links, processes, data. */

import { dataScenarios } from './scenarios-data.ts';
import { linkScenarios } from './scenarios-links.ts';
import { processScenarios } from './scenarios-processes.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [...linkScenarios, ...processScenarios, ...dataScenarios];
