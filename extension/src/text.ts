import type { Verdict } from '@syncscope/protocol/capture';

/** Control, formatting and line-breaking characters, which can make a label say something that it does not. */
const INVISIBLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Text of a session as it may be shown in trees and messages: such characters are written out as `\u202e`. */
export function plain(text: string): string {
  return text.replaceAll(INVISIBLE, (one) => `\\u${one.codePointAt(0)?.toString(16).padStart(4, '0')}`);
}

/** {@link plain} where VS Code makes a picture of `$(name)`: in trees and the status bar. */
export function label(text: string): string {
  return plain(text).replaceAll('$(', '$ (');
}

/** A verdict for a row that stays as it is while all is well: without the versions, which go on all the time. */
export function steadyVerdict({ level, text }: Pick<Verdict, 'level' | 'text'>): string {
  return level === 'quiet' ? text.replace(/ at v\d+(–v\d+)?/, '') : text;
}

/**
 * Text that may hold anything, as a notification may say it, in one line. VS Code makes a link of `[text](command:…)` there, which runs a
 * command when it is clicked: taken apart, it is text like any other.
 */
export function notification(text: string): string {
  return plain(text.replaceAll(/\s*[\r\n]+\s*/g, ' ')).replaceAll('](', '] (');
}

/** `834 B`, `12.3 kB`, `4.0 MB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`;
  if (bytes < 1_000_000) return `${(bytes / 1_000).toFixed(1)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
