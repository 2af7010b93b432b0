/** The side-effect entry of the overlay: importing it is all that a page has to do. */

import { defineLiveReactions } from './live-reactions.ts';

defineLiveReactions();
