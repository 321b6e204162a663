/** `adventure-2026-11-20-22-31-05.mcap`, from a title that may hold anything. */
export function captureName(title: string, date: Date): string {
  const safe = title
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, '-')
    .replaceAll(/^-|-$/g, '')
    .slice(0, 40);
  const time = date.toISOString().slice(0, 19).replaceAll(/[T:]/g, '-');
  return `${safe === '' ? 'session' : safe}-${time}.mcap`;
}
