import type { Pen } from './pen.ts';

/** One call on a recorded pen, with the colours and line it was made in. */
export interface PenCall {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly fillStyle: unknown;
  readonly strokeStyle: unknown;
  readonly globalAlpha: number;
  readonly lineWidth: number;
}

/** For tests: a pen that draws nothing and remembers what was asked of it. */
export function recordingPen(): { readonly pen: Pen; readonly calls: PenCall[] } {
  const calls: PenCall[] = [];
  const settings: Record<string, unknown> = {
    fillStyle: '',
    strokeStyle: '',
    globalAlpha: 1,
    lineWidth: 1,
    font: '',
    lineCap: 'butt',
    lineJoin: 'miter',
    textAlign: 'left',
    textBaseline: 'alphabetic',
  };
  const pen = new Proxy(settings, {
    get(target, name) {
      if (typeof name !== 'string') return undefined;
      if (name in target) return target[name];
      return (...args: unknown[]) => {
        calls.push({
          name,
          args,
          fillStyle: target.fillStyle,
          strokeStyle: target.strokeStyle,
          globalAlpha: target.globalAlpha as number,
          lineWidth: target.lineWidth as number,
        });
        return name === 'measureText' ? { width: String(args[0]).length * 6 } : undefined;
      };
    },
  });
  // The proxy answers to every name that a pen has.
  return { pen: pen as unknown as Pen, calls };
}
