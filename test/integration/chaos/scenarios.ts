/** All scenarios, in the order in which they run: links, moves, processes, data. */

import { dataScenarios } from './scenarios-data.ts';
import { linkScenarios } from './scenarios-links.ts';
import { moveScenarios } from './scenarios-moves.ts';
import { processScenarios } from './scenarios-processes.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [...linkScenarios, ...moveScenarios, ...processScenarios, ...dataScenarios];
