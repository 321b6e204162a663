import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fromBase64, packFrames, type SseEvent, SseParser, unpackFrames } from './sse-format.ts';

const frames = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 });

describe('an event stream', () => {
  test('gives the same events however it is cut, and whichever line ends it uses', () => {
    const line = fc.string({ maxLength: 12 }).map((text) => text.replace(/[\r\n\0]/g, ''));
    const events = fc.array(
      fc.record({
        name: line,
        id: line.filter((id) => id !== ''),
        data: fc.array(line, { minLength: 1, maxLength: 3 }),
      }),
      { maxLength: 6 },
    );
    const property = fc.property(
      events,
      fc.constantFrom('\n', '\r\n', '\r'),
      fc.array(fc.nat(400), { maxLength: 10 }),
      (list, end, cuts) => {
        const text = list
          .map(({ name, id, data }) =>
            [`event: ${name}`, ': a comment', `id: ${id}`, ...data.map((one) => `data: ${one}`), '', ''].join(end),
          )
          .join('');
        const parser = new SseParser();
        const places = [0, ...cuts.filter((cut) => cut < text.length).sort((left, right) => left - right), text.length];
        const found: SseEvent[] = [];
        for (let index = 1; index < places.length; index++) {
          found.push(...parser.push(text.slice(places[index - 1], places[index])));
        }
        // A CR at the very end may be half of a CR LF.
        found.push(...parser.push(end === '\r' ? '\n' : ''));
        expect(found).toEqual(list.map(({ name, id, data }) => ({ name, id, data: data.join('\n') })));
      },
    );
    fc.assert(property);
  });

  test('keeps the last id, and drops what has no data', () => {
    const parser = new SseParser();
    expect(parser.push('id: a:1\n\ndata: x\n\nevent: open\ndata: y\nid\n\n')).toEqual([
      { name: '', data: 'x', id: 'a:1' },
      { name: 'open', data: 'y', id: '' },
    ]);
  });

  test('refuses an event without end', () => {
    const parser = new SseParser(100);
    expect(() => {
      for (let count = 0; count < 20; count++) parser.push('data: 0123456789\n');
    }).toThrow(expect.objectContaining({ code: 'SSE_EVENT_TOO_LARGE' }));
  });
});

describe('a post', () => {
  test('gives back the frames that went in', () => {
    fc.assert(
      fc.property(frames, (list) => {
        expect(unpackFrames(packFrames(list))).toEqual(list);
      }),
    );
  });

  test('that is cut is refused, or holds fewer frames', () => {
    const property = fc.property(frames, fc.nat(), (list, at) => {
      const body = packFrames(list);
      const cut = body.subarray(0, body.length === 0 ? 0 : at % body.length);
      try {
        expect(list.slice(0, unpackFrames(cut).length)).toEqual(unpackFrames(cut));
      } catch (error) {
        expect(error).toMatchObject({ code: 'SSE_BODY_INVALID' });
      }
    });
    fc.assert(property);
  });
});

test('base64 is read as Node writes it, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      expect(fromBase64(Buffer.from(bytes).toString('base64'))).toEqual(bytes);
    }),
  );
  expect(() => fromBase64('§')).toThrow(expect.objectContaining({ code: 'SSE_FRAME_INVALID' }));
});
