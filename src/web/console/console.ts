/**
 * The moderators' console: which streams are live, who is suspected there, and what is decided about them.
 *
 * Everything that is decided is an edit of a policy document, made here at once and sent when the region hears; so
 * the page works on while it, or the region, is cut off, and says so. Viewers choose their names themselves: all of
 * it is put on the page as text.
 */

import { byId, element, setState, setText } from '../live/element.ts';
import { createApi, Refused, type Overview } from './api.ts';
import { Desk } from './desk.ts';
import { createPanel, type Panel } from './panel.ts';
import { askForToken } from './sign-in.ts';
import { createStreamList, type StreamList } from './stream-list.ts';
import { CLOSE_CODES } from '../../protocol/close-codes.ts';
import { cutOffText } from './words.ts';

const OVERVIEW_MS = 1_000;
const TOKEN_KEY = 'ovation-token';
const GLOBAL = 'global';

const base = new URL('..', location.href);
base.hash = base.search = '';
const sockets = base.href.replace(/^http/, 'ws');
const api = createApi(base.href, () => token);
const desk = new Desk({ url: `${sockets}control/`, token: () => token, onChange: () => refresh() });
const main = byId('main');
const banner = byId('banner');
const leave = byId('leave');

let token = sessionStorage.getItem(TOKEN_KEY);
let overview: Overview | null = null;
/** Why the region could not be asked last; null when it could. */
let trouble: string | null = null;
let list: StreamList | null = null;
let panel: Panel | null = null;
/** How far the region's clock is ahead of this machine's: what is decided takes the region's time. */
let clockAheadMs = 0;
let isRefreshing = false;

leave.addEventListener('click', () => {
  sessionStorage.removeItem(TOKEN_KEY);
  location.reload();
});
addEventListener('hashchange', () => showSelected());
addEventListener('online', () => desk.retry());
addEventListener('beforeunload', (event) => {
  if (desk.pending > 0) event.preventDefault();
});
void run();

async function run(): Promise<never> {
  for (;;) {
    await look();
    await new Promise((resolve) => setTimeout(resolve, OVERVIEW_MS));
  }
}

async function look(): Promise<void> {
  if (main.dataset['state'] === 'signing-in') return;
  const askedAt = Date.now();
  try {
    overview = await api.overview();
    // What was asked in the middle of the round trip was answered there.
    clockAheadMs = overview.at - (askedAt + Date.now()) / 2;
    trouble = null;
  } catch (error) {
    if (error instanceof Refused && (error.status === 401 || error.status === 403)) return signIn(error.message);
    trouble = error instanceof Refused ? error.message : 'The region cannot be reached.';
  }
  if (overview === null) return refresh();
  if (list === null) open(overview);
  list!.update(overview.streams, selected());
  panel!.observe(overview.streams.find(({ stream_id: id }) => id === selected()) ?? null);
  refresh();
}

/** Asks for a token; what was edited meanwhile stays and is sent with the new one. */
function signIn(reason: string): void {
  if (main.dataset['state'] === 'signing-in') return;
  const held = [...main.childNodes];
  setState(main, 'signing-in');
  const first = token === null;
  leave.hidden = true;
  askForToken(main, first ? null : reason, (given) => {
    token = given;
    sessionStorage.setItem(TOKEN_KEY, given);
    setState(main, 'open');
    main.replaceChildren(...held);
    desk.retry();
    void look();
  });
}

function open({ who }: Overview): void {
  // Who may moderate a few streams has no business with all.
  if (who !== null && who.role !== 'admin' && who.streams !== '*' && selected() === null) select(who.streams[0] ?? null);
  setState(main, 'open');
  list = createStreamList(select);
  panel = createPanel({ api, desk, by: () => overview?.who?.sub ?? 'anybody', now: () => Math.round(Date.now() + clockAheadMs), say });
  main.replaceChildren(list.root, panel.root);
  showSelected();
}

/** The stream in the address; null for all streams. */
function selected(): string | null {
  const id = new URLSearchParams(location.hash.slice(1)).get('stream');
  return id !== null && /^[A-Za-z0-9_-]{1,64}$/.test(id) ? id : null;
}

function select(stream: string | null): void {
  location.hash = stream === null ? '' : `stream=${stream}`;
}

function showSelected(): void {
  if (list === null || panel === null || overview === null) return;
  const stream = selected();
  desk.show(stream === null ? GLOBAL : `stream.${stream}`);
  panel.show(stream);
  list.update(overview.streams, stream);
  document.title = `${stream ?? 'All streams'}: Ovation moderation`;
}

function refresh(): void {
  // Showing a document changes it, which refreshes.
  if (isRefreshing) return;
  isRefreshing = true;
  // The token ran out or was revoked, which the documents hear of first.
  if (list !== null && desk.state.kind === 'refused' && desk.state.code === CLOSE_CODES.unauthenticated) signIn(desk.state.reason);
  leave.hidden = token === null || main.dataset['state'] === 'signing-in';
  if (overview !== null) {
    const { region, who } = overview;
    setText(byId('where'), `region ${region}${who === null ? ', open to everybody' : ` as ${who.sub}, ${who.role}`}`);
  }
  showSync();
  showBanner();
  panel?.refresh();
  isRefreshing = false;
}

function showSync(): void {
  const chip = byId('sync');
  const { pending, state } = desk;
  const changes = `${pending} ${pending === 1 ? 'change' : 'changes'}`;
  if (list === null) {
    setState(chip, 'waiting');
    setText(chip, trouble ?? 'Connecting');
  } else if (state.kind === 'refused') {
    setState(chip, 'refused');
    setText(chip, 'Refused');
  } else if (state.kind === 'live') {
    setState(chip, pending === 0 ? 'live' : 'waiting');
    setText(chip, pending === 0 ? 'In step with the region' : `Sending ${changes}`);
  } else if (state.kind === 'connecting' && trouble === null) {
    setState(chip, 'waiting');
    setText(chip, pending === 0 ? 'Connecting' : `Connecting, ${changes} not sent`);
  } else {
    setState(chip, 'offline');
    setText(chip, pending === 0 ? 'Offline' : `Offline, ${changes} not sent`);
  }
}

function showBanner(): void {
  const { state, pending } = desk;
  const lines: string[] = [];
  if (list !== null && state.kind === 'refused') lines.push(`The region refused: ${state.reason}`);
  else if (list !== null && (state.kind === 'offline' || trouble !== null)) {
    lines.push(
      `This console is offline: ${trouble ?? (state as { reason: string }).reason} ${pending > 0 ? 'Your changes are kept on this page and sent later; leave it open.' : 'What you change is kept on this page and sent later.'}`,
    );
  }
  const cutOff = overview === null || trouble !== null ? null : cutOffText(overview.region, overview.peers);
  if (cutOff !== null) lines.push(cutOff);
  setState(banner, lines.length === 0 ? 'none' : trouble === null && state.kind === 'live' ? 'cut-off' : 'offline');
  banner.hidden = lines.length === 0;
  if (banner.dataset['text'] === lines.join(' ')) return;
  banner.dataset['text'] = lines.join(' ');
  banner.replaceChildren(...lines.map((line) => element('span', {}, line)));
  if (list !== null && state.kind === 'refused') {
    const again = element('button', { type: 'button', class: 'plain' }, pending > 0 ? 'Discard my changes and reconnect' : 'Reconnect');
    again.addEventListener('click', () => desk.discard());
    banner.append(again);
  }
}

/** Said aloud too; the same words again are said again. */
function say(text: string): void {
  const said = byId('said');
  said.textContent = '';
  requestAnimationFrame(() => (said.textContent = text));
}
