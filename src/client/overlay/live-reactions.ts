/**
 * `<live-reactions endpoint="https://us.example https://eu.example" stream="derby" controls>`: the crowd's
 * reactions over a player, with a button for each emoji.
 *
 * Attributes mirror properties: `endpoint` (one or several, by spaces), `stream`, `viewer`, `palette` (emoji
 * ids to offer, in that order; all without), `controls`, `watch-only`. `token`, a text or a function that
 * brings one, is a property alone, because attributes are read by everybody. Events: `frame` and `state`,
 * bubbling, and `error`, which does not, because windows take errors for their own.
 */

import type { Frame, Palette, Reactions, ReactionsError, ReactionsOptions, ReactionsState } from '../client-types.ts';
import { createReactions } from '../create-reactions.ts';
import { createCanvasStage, type CanvasStage, type StageStats } from './canvas-stage.ts';
import { adoptOverlayStyle } from './overlay-style.ts';
import { createView, type OverlayView } from './view.ts';

export type TokenSource = string | (() => string | Promise<string>);

const TAG = 'live-reactions';
/** What starts the connection anew, and what only changes how things look. */
const CONNECTING = ['endpoint', 'stream', 'viewer', 'watch-only'];
const SHOWING = ['palette', 'controls'];
const ANNOUNCE_MS = 10_000;

// Servers that render pages import this module and have no elements.
const Base: typeof HTMLElement = globalThis.HTMLElement ?? (Object as never);

export class LiveReactionsElement extends Base {
  static readonly observedAttributes = [...CONNECTING, ...SHOWING];

  #view: OverlayView | undefined;
  #stage: CanvasStage | undefined;
  #reactions: Reactions | undefined;
  #token: TokenSource | undefined;
  #palette: Palette = {};
  #restarting = false;
  #announcedAt = Number.NEGATIVE_INFINITY;

  get endpoint(): string {
    return this.getAttribute('endpoint') ?? '';
  }
  set endpoint(value: string) {
    this.setAttribute('endpoint', value);
  }

  get stream(): string {
    return this.getAttribute('stream') ?? '';
  }
  set stream(value: string) {
    this.setAttribute('stream', value);
  }

  get viewer(): string {
    return this.getAttribute('viewer') ?? '';
  }
  set viewer(value: string) {
    this.setAttribute('viewer', value);
  }

  get palette(): string {
    return this.getAttribute('palette') ?? '';
  }
  set palette(value: string) {
    this.setAttribute('palette', value);
  }

  get controls(): boolean {
    return this.hasAttribute('controls');
  }
  set controls(value: boolean) {
    this.toggleAttribute('controls', value);
  }

  get watchOnly(): boolean {
    return this.hasAttribute('watch-only');
  }
  set watchOnly(value: boolean) {
    this.toggleAttribute('watch-only', value);
  }

  get token(): TokenSource | undefined {
    return this.#token;
  }
  set token(value: TokenSource | undefined) {
    this.#token = value;
    this.#restart();
  }

  get state(): ReactionsState {
    return this.#reactions?.state ?? 'disconnected';
  }

  get totals(): Readonly<Record<string, number>> {
    return this.#reactions?.totals ?? {};
  }

  /** What the stage has done, undefined while the element is in no page. */
  get stats(): StageStats | undefined {
    return this.#stage?.stats;
  }

  /** Taps as a button does, and answers how many taps were taken. `across` is where it rises, 0 left to 1 right. */
  tap(emoji: string, count = 1, across = 0.5): number {
    const taken = this.#reactions?.tap(emoji, count) ?? 0;
    for (let shown = 0; shown < taken; shown++) this.#stage?.echo(emoji, across);
    return taken;
  }

  connectedCallback(): void {
    if (this.#view === undefined) {
      const root = this.attachShadow({ mode: 'open' });
      adoptOverlayStyle(root);
      this.#view = createView(root, (emoji, across) => this.tap(emoji, 1, across));
    }
    this.#adoptEarlyProperties();
    this.#stage ??= createCanvasStage(this.#view.canvas);
    if (this.#reactions === undefined) this.#restart();
  }

  disconnectedCallback(): void {
    // Who moves the element takes it out and puts it in at once; the connection outlives that.
    queueMicrotask(() => {
      if (this.isConnected) return;
      this.#disconnect();
      this.#stage?.close();
      this.#stage = undefined;
    });
  }

  attributeChangedCallback(name: string, before: string | null, after: string | null): void {
    if (before === after) return;
    if (CONNECTING.includes(name)) this.#restart();
    else this.#showPalette();
  }

  /** Properties that a page set before this class was defined hide those of the class. */
  #adoptEarlyProperties(): void {
    for (const name of ['endpoint', 'stream', 'viewer', 'palette', 'controls', 'watchOnly', 'token'] as const) {
      const early = Object.getOwnPropertyDescriptor(this, name);
      if (early === undefined) continue;
      delete (this as Partial<LiveReactionsElement>)[name];
      Object.assign(this, { [name]: early.value as unknown });
    }
  }

  /** Connects anew, once for all the attributes that change together. */
  #restart(): void {
    if (this.#restarting) return;
    this.#restarting = true;
    queueMicrotask(() => {
      this.#restarting = false;
      if (!this.isConnected || this.#stage === undefined) return;
      this.#disconnect();
      this.#connect();
    });
  }

  #connect(): void {
    const endpoints = this.endpoint.split(/[\s,]+/).filter((origin) => origin !== '');
    if (endpoints.length === 0 || this.stream === '') return;
    const reactions = createReactions(this.#options(endpoints));
    this.#reactions = reactions;
    const current = <Event>(listener: (event: Event) => void) => (event: Event): void => {
      if (this.#reactions === reactions) listener(event);
    };
    reactions.on('frame', current((frame) => this.#showFrame(frame)));
    reactions.on('totals', current(() => this.#showTotals()));
    reactions.on('state', current((state) => this.#showState(state)));
    reactions.on('error', current((error: ReactionsError) => this.#tell('error', error, false)));
    this.#view?.showState(reactions.state);
    this.#showPalette();
  }

  #options(endpoints: readonly string[]): ReactionsOptions {
    const token = this.#token;
    return {
      endpoints,
      streamId: this.stream,
      watchOnly: this.watchOnly,
      ...(this.viewer === '' ? {} : { viewerId: this.viewer }),
      ...(token === undefined ? {} : { getToken: typeof token === 'function' ? token : () => token }),
    };
  }

  #disconnect(): void {
    const reactions = this.#reactions;
    this.#reactions = undefined;
    this.#palette = {};
    this.#stage?.clear();
    reactions?.close();
  }

  #showFrame(frame: Frame): void {
    this.#showTotals();
    this.#stage?.heed(frame);
    this.#view?.showFrame(frame, this.#palette);
    this.#announce();
    this.#tell('frame', frame);
  }

  #showState(state: ReactionsState): void {
    this.#view?.showState(state);
    if (state === 'connected') this.#showPalette();
    // What rises by itself would go on for ever without anybody behind it.
    if (state === 'disconnected') this.#stage?.clear();
    this.#tell('state', state);
  }

  /** The palette may have come with them. */
  #showTotals(): void {
    const reactions = this.#reactions!;
    if (reactions.palette === this.#palette) this.#view?.showTotals(reactions.totals);
    else this.#showPalette();
  }

  #showPalette(): void {
    const reactions = this.#reactions;
    if (reactions === undefined || this.#view === undefined) return;
    this.#palette = reactions.palette;
    this.#stage?.adopt(this.#palette);
    this.#view.showButtons(this.controls ? this.#offered() : {});
    this.#view.showTotals(reactions.totals);
  }

  /** The emoji of the stream's palette that the page wants offered, in the page's order. */
  #offered(): Palette {
    const wanted = this.palette.split(/[\s,]+/).filter((emoji) => Object.hasOwn(this.#palette, emoji));
    return wanted.length === 0 ? this.#palette : Object.fromEntries(wanted.map((emoji) => [emoji, this.#palette[emoji]!]));
  }

  /** Totals are said now and then, and only to those who are at the buttons. */
  #announce(): void {
    const now = performance.now();
    if (this.shadowRoot?.activeElement === null || now - this.#announcedAt < ANNOUNCE_MS) return;
    this.#announcedAt = now;
    this.#view?.announce();
  }

  #tell(name: string, detail: unknown, bubbles = true): void {
    this.dispatchEvent(new CustomEvent(name, { detail, bubbles, composed: true }));
  }
}

/** Makes `<live-reactions>` known to the page; doing it again changes nothing. */
export function defineLiveReactions(): void {
  if (globalThis.customElements !== undefined && customElements.get(TAG) === undefined) {
    customElements.define(TAG, LiveReactionsElement);
  }
}

declare global {
  interface HTMLElementTagNameMap {
    'live-reactions': LiveReactionsElement;
  }
}
