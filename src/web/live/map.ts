/** The map: dotted land, a beacon for each region, and arcs on which what regions tell each other travels. */

import { dotsPath } from './continents.ts';
import type { DevStatus, LinkStatus } from './dev-api.ts';
import { drawing, element, setState, setText } from './element.ts';
import { createLinkButton, type LinkButton } from './links.ts';
import { arcBetween, MAP_HEIGHT, MAP_WIDTH, placeRegions, type Arc, type Point } from './world.ts';

export interface WorldMap {
  readonly root: HTMLElement;
  update(links: readonly LinkStatus[]): void;
  /** What a region counts now, beside its beacon. */
  showTotal(region: string, total: string): void;
  /** `live` or `silent`: whether its phone hears it. */
  showState(region: string, state: string): void;
  /** `quiet` or `busy`: how much travels. */
  showTraffic(traffic: string): void;
}

export interface MapEvents {
  obeyed(status: DevStatus): void;
  failed(message: string): void;
}

export function createMap(ids: readonly string[], on: MapEvents): WorldMap {
  const places = placeRegions(ids);
  const totals = new Map<string, HTMLElement>();
  const lights = new Map<string, HTMLElement>();
  const links: LinkButton[] = [];
  const arcs: SVGElement[] = [];
  const buttons = element('div', { class: 'links', role: 'group', 'aria-label': 'Links between the regions' });
  for (const [index, one] of ids.entries()) {
    for (const other of ids.slice(index + 1)) {
      const arc = arcBetween(places.get(one)!, places.get(other)!);
      const { drawn, hit } = drawArc(arc);
      const link = createLinkButton(one, other, { ...on, shown: ({ state }) => setState(drawn, state) });
      hit.addEventListener('click', () => link.open());
      moveTo(link.root, arc.middle);
      arcs.push(drawn);
      buttons.append(link.root);
      links.push(link);
    }
  }
  const beacons = ids.map((id, index) => {
    const total = element('b', { class: 'beacon-total' }, '0');
    totals.set(id, total);
    const beacon = element('div', { class: 'beacon', 'data-hue': String(index % 3) }, element('span', { class: 'beacon-light' }), element('span', { class: 'beacon-name' }, id), total);
    lights.set(id, beacon);
    moveTo(beacon, places.get(id)!);
    return beacon;
  });
  const box = { viewBox: `0 0 ${MAP_WIDTH} ${MAP_HEIGHT}` };
  const root = element(
    'div',
    { class: 'map', 'data-traffic': 'quiet' },
    element(
      'div',
      { class: 'sheet', 'aria-hidden': 'true' },
      drawing('svg', { ...box, class: 'land' }, drawing('path', { d: dotsPath(MAP_WIDTH, MAP_HEIGHT) })),
      drawing('svg', { ...box, class: 'arcs' }, ...arcs),
      ...beacons,
    ),
    buttons,
  );
  return {
    root,
    update(states) {
      for (const link of links) link.update(states);
    },
    showTotal(region, total) {
      setText(totals.get(region)!, total);
    },
    showState(region, state) {
      setState(lights.get(region)!, state);
    },
    showTraffic(traffic) {
      if (root.dataset['traffic'] !== traffic) root.dataset['traffic'] = traffic;
    },
  };
}

/** The wire, what travels on it each way, and a wide invisible line that is easy to hit. */
function drawArc({ path, back }: Arc): { readonly drawn: SVGGElement; readonly hit: SVGPathElement } {
  const line = (name: string, d: string): SVGPathElement => drawing('path', { class: name, d, pathLength: '100' });
  const hit = line('arc-hit', path);
  const drawn = drawing('g', { class: 'arc' }, line('arc-glow', path), line('arc-wire', path), line('arc-pulse', path), line('arc-pulse', back), hit);
  return { drawn, hit };
}

function moveTo(node: HTMLElement, { x, y }: Point): void {
  node.style.left = `${(100 * x) / MAP_WIDTH}%`;
  node.style.top = `${(100 * y) / MAP_HEIGHT}%`;
}
