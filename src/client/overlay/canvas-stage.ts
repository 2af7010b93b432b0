/**
 * The stage of the overlay: one canvas on which the particles of a spawn plan rise.
 *
 * It draws only while something flies and somebody can see it: never in hidden pages, outside the
 * viewport, or for viewers who asked for reduced motion. Frames that come meanwhile are passed over.
 */

import type { Palette } from '../client-types.ts';
import { GlyphSprites } from './glyph-sprites.ts';
import { Particles, SCALE_MAX } from './particles.ts';
import { SpawnPlan, type CrowdFrame } from './spawn-plan.ts';

/** What the stage has done since it was made. */
export interface StageStats {
  readonly animationFrames: number;
  /** Particles started. */
  readonly spawned: number;
  /** Particles in the air. */
  readonly particles: number;
  /** What the last animation frame took of the main thread, in milliseconds. */
  readonly drawMs: number;
  /** True while it draws. */
  readonly running: boolean;
}

export interface CanvasStage {
  readonly stats: StageStats;
  adopt(palette: Palette): void;
  heed(frame: CrowdFrame): void;
  /** Shows the viewer's own tap at once, from that place across, 0 left to 1 right. */
  echo(emoji: string, across: number): void;
  /** Forgets what flies and what is due. */
  clear(): void;
  close(): void;
}

/** A page that stood still goes on from where it was, instead of jumping. */
const STEP_MS_MAX = 100;
const DENSITY_MAX = 2;
const GLYPH_PX_MIN = 22;
const GLYPH_PX_MAX = 40;
const GLYPH_SHARE = 0.085;
const MARGIN = 0.06;
/** Hearts that rise by themselves take their time. */
const STATIC_SLOWNESS = 1.7;

export function createCanvasStage(canvas: HTMLCanvasElement, random: () => number = Math.random): CanvasStage {
  const context = canvas.getContext('2d');
  const particles = new Particles(random);
  const plan = new SpawnPlan(random);
  const sprites = new GlyphSprites();
  const motion = window.matchMedia('(prefers-reduced-motion: reduce)');
  const closing = new AbortController();
  const stats = { animationFrames: 0, spawned: 0, particles: 0, drawMs: 0, running: false };
  // Kept, because Chromium tells no change to a query that was asked after it and before the event.
  let calm = motion.matches;
  let inViewport = true;
  let slowness = 1;
  let width = 0;
  let height = 0;
  let glyphPx = GLYPH_PX_MIN;
  let density = 1;
  let request = 0;
  let drawnAt = 0;

  const canBeSeen = (): boolean => inViewport && !document.hidden && !calm && width > 0 && context !== null;

  function emit(emoji: string, ageMs: number): void {
    particles.spawn(sprites.indexOf(emoji), ageMs, MARGIN + random() * (1 - 2 * MARGIN), slowness);
    stats.spawned++;
  }

  function draw(now: number): void {
    const startedAt = performance.now();
    const elapsedMs = Math.min(STEP_MS_MAX, Math.max(0, now - drawnAt));
    drawnAt = now;
    particles.step(elapsedMs, width, height, glyphPx);
    plan.advance(elapsedMs, emit);
    paint(context!);
    stats.animationFrames++;
    stats.particles = particles.count;
    stats.drawMs = performance.now() - startedAt;
    request = 0;
    run();
  }

  function paint(target: CanvasRenderingContext2D): void {
    target.clearRect(0, 0, width, height);
    for (let index = 0; index < particles.count; index++) {
      const opacity = particles.opacity[index]!;
      if (opacity === 0) continue;
      const size = particles.size[index]!;
      target.globalAlpha = opacity;
      target.drawImage(sprites.image(particles.sprite[index]!), particles.x[index]! - size / 2, particles.y[index]! - size / 2, size, size);
    }
  }

  /** Asks for the next animation frame when there is need of one. */
  function run(): void {
    const wanted = canBeSeen() && (particles.count > 0 || !plan.idle);
    if (wanted && request === 0) {
      if (!stats.running) drawnAt = performance.now();
      request = requestAnimationFrame(draw);
    } else if (!wanted && request !== 0) {
      cancelAnimationFrame(request);
      request = 0;
    }
    stats.running = wanted;
  }

  function fit(): void {
    width = canvas.clientWidth;
    height = canvas.clientHeight;
    density = Math.min(DENSITY_MAX, window.devicePixelRatio || 1);
    const wished = Number.parseFloat(getComputedStyle(canvas).getPropertyValue('--ovation-glyph-size'));
    const fitting = Math.min(GLYPH_PX_MAX, Math.max(GLYPH_PX_MIN, Math.min(width, height) * GLYPH_SHARE));
    glyphPx = wished > 0 ? wished : fitting;
    sprites.resize(Math.ceil(glyphPx * SCALE_MAX * density));
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    // Setting the size has cleared canvas and transform.
    context?.setTransform(density, 0, 0, density, 0, 0);
    if (stats.running && context !== null) paint(context);
    run();
  }

  function watchDensity(): void {
    const same = window.matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const changed = (): void => {
      fit();
      watchDensity();
    };
    same.addEventListener('change', changed, { once: true, signal: closing.signal });
  }

  function clear(): void {
    particles.clear();
    plan.clear();
    stats.particles = 0;
    context?.clearRect(0, 0, width, height);
    run();
  }

  const sized = new ResizeObserver(fit);
  sized.observe(canvas);
  const seen = new IntersectionObserver(([entry]) => {
    inViewport = entry!.isIntersecting;
    run();
  });
  seen.observe(canvas);
  document.addEventListener('visibilitychange', run, { signal: closing.signal });
  const motionChanged = (): void => {
    calm = motion.matches;
    clear();
  };
  motion.addEventListener('change', motionChanged, { signal: closing.signal });
  watchDensity();

  return {
    stats,
    adopt: (palette) => sprites.adopt(palette),
    heed(frame) {
      if (!canBeSeen()) return;
      slowness = frame.level === 'static' ? STATIC_SLOWNESS : 1;
      plan.heed(frame, performance.now());
      run();
    },
    echo(emoji, across) {
      if (!canBeSeen()) return;
      particles.spawn(sprites.indexOf(plan.echo(emoji, performance.now())), 0, across);
      stats.spawned++;
      run();
    },
    clear,
    close() {
      closing.abort();
      sized.disconnect();
      seen.disconnect();
      clear();
    },
  };
}
