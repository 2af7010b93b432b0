/**
 * The stage of a player: glyphs that rise and fade on a canvas.
 *
 * Bounded: so many particles and no more, whatever the crowd does. Nothing runs while nothing flies,
 * and nothing moves for viewers who asked for reduced motion.
 */

export interface Stage {
  /** Shows reactions of one emoji, spread over the time until the next frame. */
  show(glyph: string, count: number): void;
}

interface Particle {
  readonly sprite: HTMLCanvasElement;
  readonly bornAt: number;
  readonly lifeMs: number;
  /** From 0, left, to 1, right. */
  readonly x: number;
  readonly swayPx: number;
  readonly phase: number;
  readonly scale: number;
}

const PARTICLES_MAX = 70;
/** Of one emoji in one frame, so that a storm of one leaves room for the others. */
const PARTICLES_PER_FRAME_MAX = 6;
const SPREAD_MS = 220;
const SPRITE_PX = 64;
const GLYPH_PX = 27;

const sprites = new Map<string, HTMLCanvasElement>();

export function createStage(canvas: HTMLCanvasElement): Stage {
  const context = canvas.getContext('2d')!;
  const calm = window.matchMedia('(prefers-reduced-motion: reduce)');
  let particles: Particle[] = [];
  let running = false;
  let width = 0;
  let height = 0;

  new ResizeObserver(([entry]) => {
    width = entry!.contentRect.width;
    height = entry!.contentRect.height;
    const density = Math.min(2, window.devicePixelRatio);
    canvas.width = Math.round(width * density);
    canvas.height = Math.round(height * density);
    context.setTransform(density, 0, 0, density, 0, 0);
  }).observe(canvas);

  function draw(now: number): void {
    context.clearRect(0, 0, width, height);
    particles = particles.filter((particle) => now < particle.bornAt + particle.lifeMs);
    for (const particle of particles) if (now >= particle.bornAt) drawParticle(particle, now);
    running = particles.length > 0;
    if (running) requestAnimationFrame(draw);
  }

  function drawParticle(particle: Particle, now: number): void {
    const age = (now - particle.bornAt) / particle.lifeMs;
    // Fast at first, then slower, like something light that rises.
    const risen = 1 - (1 - age) ** 1.6;
    const size = GLYPH_PX * particle.scale * Math.min(1, 0.4 + age * 6);
    const x = particle.x * width + Math.sin(particle.phase + age * 7) * particle.swayPx;
    const y = height + size - risen * (height * 0.95 + size);
    context.globalAlpha = Math.min(1, (1 - age) * 2.2);
    context.drawImage(particle.sprite, x - size / 2, y - size / 2, size, size);
  }

  return {
    show(glyph, count) {
      if (calm.matches || document.hidden) return;
      const born = Math.min(count, PARTICLES_PER_FRAME_MAX, PARTICLES_MAX - particles.length);
      for (let index = 0; index < born; index++) {
        particles.push({
          sprite: spriteOf(glyph),
          bornAt: performance.now() + Math.random() * SPREAD_MS,
          lifeMs: 1_700 + Math.random() * 1_100,
          x: 0.08 + Math.random() * 0.84,
          swayPx: 6 + Math.random() * 14,
          phase: Math.random() * Math.PI * 2,
          scale: 0.7 + Math.random() * 0.6,
        });
      }
      if (running || born <= 0) return;
      running = true;
      requestAnimationFrame(draw);
    },
  };
}

/** A glyph drawn once: text is far slower to draw than an image. */
function spriteOf(glyph: string): HTMLCanvasElement {
  let sprite = sprites.get(glyph);
  if (sprite === undefined) {
    sprite = document.createElement('canvas');
    sprite.width = SPRITE_PX;
    sprite.height = SPRITE_PX;
    const context = sprite.getContext('2d')!;
    context.font = `${SPRITE_PX * 0.75}px 'Apple Color Emoji', 'Segoe UI Emoji', 'Noto Color Emoji', system-ui, sans-serif`;
    context.textAlign = 'center';
    context.textBaseline = 'middle';
    context.fillStyle = '#fff';
    context.fillText(glyph, SPRITE_PX / 2, SPRITE_PX * 0.54);
    sprites.set(glyph, sprite);
  }
  return sprite;
}
