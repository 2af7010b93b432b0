/**
 * The live page: regions on a map with the links between them, a phone in each, a crowd, and charts.
 *
 * Without a framework. Its phones are the player SDK and the overlay's stage, as apps use them; all of it is
 * one bundle that `npm run build` makes.
 */

import { fetchStandings, judgeAgreement, type Agreement } from './agreement.ts';
import { createGapChart, createRateCharts, type GapChart } from './charts.ts';
import { createCrowdPanel } from './crowd.ts';
import type { DevStatus } from './dev-api.ts';
import { fetchStatus } from './development.ts';
import { byId, setState, setText } from './element.ts';
import { fetchSeries } from './history.ts';
import { createMap, type WorldMap } from './map.ts';
import { createPlayer, type Player } from './player.ts';

const REFRESH_MS = 250;
const STATUS_MS = 1_000;
const BOOKS_MS = 1_000;
const HISTORY_MS = 2_000;
const NOTICE_MS = 8_000;
/** Above this many taps a second, more is seen to travel. */
const BUSY_RATE = 40;
const AGREEMENT_SAID: Readonly<Record<Agreement['state'], string>> = {
  agree: 'All regions agree',
  converging: 'The regions are in step',
  diverged: 'The regions have diverged',
  unknown: 'Whether the regions agree is unknown',
};

const whole = new Intl.NumberFormat('en');
const stream = streamFromAddress();
const notice = byId('notice');
const agreement = byId('agreement');
const said = byId('said');
const crowd = createCrowdPanel(stream, notify);
const rates = createRateCharts();
setText(byId('stream'), stream);

let status: DevStatus | null = null;
let players: readonly Player[] = [];
let map: WorldMap | null = null;
let gaps: GapChart | null = null;
let noticeUntil = 0;

window.setInterval(refresh, REFRESH_MS);
repeat(STATUS_MS, async () => showStatus(await fetchStatus()), lost);
repeat(BOOKS_MS, showBooks, lost);
repeat(HISTORY_MS, showHistory, () => rates.fail());

/** Starts again a while after it ended, however it ended. */
function repeat(pauseMs: number, once: () => Promise<void>, onFailure: (error: unknown) => void): void {
  once()
    .catch(onFailure)
    .finally(() => window.setTimeout(() => repeat(pauseMs, once, onFailure), pauseMs));
}

function showStatus(next: DevStatus): void {
  if (status === null && noticeUntil === Infinity) notify('');
  status = next;
  if (map === null) build(next);
  map?.update(next.links);
  crowd.update(next.crowd);
}

/** Once: the regions of a running service do not change. */
function build({ regions }: DevStatus): void {
  const ids = regions.map(({ id }) => id);
  players = regions.map(({ id, api }) => createPlayer(id, api, stream, (total) => map?.showTotal(id, whole.format(total))));
  map = createMap(ids, { obeyed: showStatus, failed: notify });
  gaps = createGapChart(ids);
  byId('world').replaceChildren(map.root);
  byId('players').replaceChildren(...players.map(({ root }) => root));
  byId('deck').replaceChildren(crowd.root, rates.root, gaps.root);
}

function refresh(): void {
  if (performance.now() > noticeUntil) notify('');
  let rate = 0;
  for (const player of players) {
    player.refresh();
    map?.showState(player.region, player.isLive ? 'live' : 'silent');
    rate = Math.max(rate, player.ratePerSecond);
  }
  map?.showTraffic(rate >= BUSY_RATE ? 'busy' : 'quiet');
}

async function showBooks(): Promise<void> {
  if (status === null || document.hidden) return;
  const { regions } = status;
  const standings = await fetchStandings(regions, stream);
  const isAnyLinkCut = status?.links.some(({ state }) => state === 'cut') ?? false;
  for (const [index, player] of players.entries()) player.showStanding(standings[index]!, isAnyLinkCut);
  gaps?.add(standings);
  const { state, text } = judgeAgreement(regions.map(({ id }) => id), standings, isAnyLinkCut);
  showAgreement(state, text);
}

/** Numbers change every second; only another state is worth saying aloud. */
function showAgreement(state: Agreement['state'], text: string): void {
  setState(agreement, state);
  setText(agreement, text);
  setText(said, AGREEMENT_SAID[state]);
}

async function showHistory(): Promise<void> {
  const palette = players.find((player) => Object.keys(player.palette).length > 0)?.palette;
  if (status === null || palette === undefined || document.hidden) return;
  rates.show(palette, await fetchSeries(status.regions, stream, Date.now()));
}

function lost(error: unknown): void {
  status = null;
  notify(`The service does not answer; trying again. ${String(error)}`);
  noticeUntil = Infinity;
  showAgreement('unknown', 'Unknown');
}

function notify(text: string): void {
  setText(notice, text);
  notice.hidden = text === '';
  noticeUntil = performance.now() + NOTICE_MS;
}

function streamFromAddress(): string {
  const asked = new URLSearchParams(window.location.search).get('stream') ?? '';
  return /^[A-Za-z0-9_-]{1,64}$/.test(asked) ? asked : 'demo';
}
