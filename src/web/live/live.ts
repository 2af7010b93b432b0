/**
 * The live page: one player per region side by side, the links between them, and whether all agree.
 *
 * Browser code without a framework or a bundler: compiled file by file, it imports nothing at run time
 * but its neighbours in this folder.
 */

import { fetchDigests, judgeAgreement } from './agreement.ts';
import { fetchStatus, type RegionStatus, type Status } from './development.ts';
import { byId, element, setState, setText } from './element.ts';
import { createLinkButton, type LinkButton } from './links.ts';
import { createPlayer, type Player } from './player.ts';

const REFRESH_MS = 250;
const POLL_MS = 1_000;

const stream = streamFromAddress();
const notice = byId('notice');
const agreement = byId('agreement');
setText(byId('stream'), stream);

let players: readonly Player[] = [];
let links: readonly LinkButton[] = [];
let unreachable = false;

window.setInterval(() => {
  for (const player of players) player.refresh();
}, REFRESH_MS);
void poll();

async function poll(): Promise<void> {
  try {
    const status = await fetchStatus();
    showRegions(status.regions);
    for (const link of links) link.update(status.links);
    if (unreachable) notify('');
    unreachable = false;
    await showAgreement(status);
  } catch (error) {
    unreachable = true;
    notify(`The service does not answer; trying again. ${String(error)}`);
    setState(agreement, 'unknown');
    setText(agreement, 'Unknown');
  }
  window.setTimeout(() => void poll(), POLL_MS);
}

/** Built once: the regions of a running service do not change. */
function showRegions(regions: readonly RegionStatus[]): void {
  const ids = regions.map(({ id }) => id);
  if (players.length > 0) return;
  players = regions.map(({ id, api }) => createPlayer(id, api, stream));
  const made: LinkButton[] = [];
  const row: HTMLElement[] = [];
  const far: HTMLElement[] = [];
  for (const [index, player] of players.entries()) {
    row.push(player.root);
    for (let other = index + 1; other < ids.length; other++) {
      const link = createLinkButton(ids[index]!, ids[other]!, notify);
      made.push(link);
      // Neighbours are linked where they meet, the others below.
      if (other === index + 1) row.push(element('div', { class: 'gutter' }, link.root));
      else far.push(link.root);
    }
  }
  links = made;
  byId('players').replaceChildren(...row);
  byId('far-links').replaceChildren(...far);
}

async function showAgreement({ regions, links: states }: Status): Promise<void> {
  const digests = await fetchDigests(regions, stream);
  const isAnyLinkCut = states.some(({ state }) => state === 'cut');
  const { state, text } = judgeAgreement(regions, digests, isAnyLinkCut);
  setState(agreement, state);
  setText(agreement, text);
}

function notify(text: string): void {
  setText(notice, text);
  notice.hidden = text === '';
}

function streamFromAddress(): string {
  const asked = new URLSearchParams(window.location.search).get('stream') ?? '';
  return /^[A-Za-z0-9_-]{1,64}$/.test(asked) ? asked : 'demo';
}
