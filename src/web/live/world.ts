/**
 * Where things are on the map: a flat projection, places for regions, and the arcs of their links. Pure.
 *
 * The map runs from 150° west to 170° east, so that North America, Europe and East Asia stand in the
 * middle of three equal columns.
 */

export const MAP_WIDTH = 1280;
export const MAP_HEIGHT = 400;

export interface Point {
  readonly x: number;
  readonly y: number;
}

const WEST = -150;
const NORTH = 82;
const PER_LONGITUDE = MAP_WIDTH / 320;
const PER_LATITUDE = 3.4;

export function project(longitude: number, latitude: number): Point {
  return { x: (longitude - WEST) * PER_LONGITUDE, y: (NORTH - latitude) * PER_LATITUDE };
}

project.inverse = (x: number, y: number): { readonly longitude: number; readonly latitude: number } => ({
  longitude: x / PER_LONGITUDE + WEST,
  latitude: NORTH - y / PER_LATITUDE,
});

/** Where usual names of regions lie, by their first word. */
const PLACES: Readonly<Record<string, Point>> = {
  us: project(-96.67, 38),
  eu: project(10, 49),
  ap: project(116.67, 33),
  ca: project(-106, 56),
  sa: project(-55, -12),
  af: project(21, 4),
  me: project(45, 25),
  in: project(78, 21),
  au: project(134, -24),
  uk: project(-2, 54),
  jp: project(138, 37),
};
const NEAR = 40;

/** A place for each region: its own where its name tells, otherwise one on a ring in the ocean. */
export function placeRegions(ids: readonly string[]): ReadonlyMap<string, Point> {
  const places = new Map<string, Point>();
  for (const [index, id] of ids.entries()) {
    const known = PLACES[id.split(/[^a-z]/, 1)[0]!];
    const free = known !== undefined && [...places.values()].every((place) => distance(place, known) >= NEAR);
    places.set(id, free ? known : ringPlace(index, ids.length));
  }
  return places;
}

function ringPlace(index: number, count: number): Point {
  const angle = (2 * Math.PI * (index + 0.5)) / count - Math.PI / 2;
  return { x: MAP_WIDTH / 2 + 0.42 * MAP_WIDTH * Math.cos(angle), y: MAP_HEIGHT * 0.46 + 0.26 * MAP_HEIGHT * Math.sin(angle) };
}

export interface Arc {
  /** From the first place to the second, as an SVG path. */
  readonly path: string;
  readonly back: string;
  /** The middle, where its label stands. */
  readonly middle: Point;
}

/** Of the square of the distance, so that short arcs stay clear of long ones. */
const LIFT = 0.00036;
/** So far above the map may the control point of an arc lie for its middle to be on it. */
const CONTROL_Y_MIN = -92;

/** Links rise like flights: the farther the higher. */
export function arcBetween(from: Point, to: Point): Arc {
  const control = {
    x: (from.x + to.x) / 2,
    y: Math.max(CONTROL_Y_MIN, (from.y + to.y) / 2 - LIFT * distance(from, to) ** 2),
  };
  const curve = (a: Point, b: Point): string => `M${round(a.x)} ${round(a.y)}Q${round(control.x)} ${round(control.y)} ${round(b.x)} ${round(b.y)}`;
  return {
    path: curve(from, to),
    back: curve(to, from),
    middle: { x: (from.x + to.x + 2 * control.x) / 4, y: (from.y + to.y + 2 * control.y) / 4 },
  };
}

function distance(a: Point, b: Point): number {
  return Math.hypot(a.x - b.x, a.y - b.y);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
