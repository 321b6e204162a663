/** Whether a path with forward or backward slashes is relative and cannot leave the folder that it starts from. */
export function isPathInside(path: string): boolean {
  if (path.length > 255 || /^[/\\]|^[A-Za-z]:|\0/.test(path)) return false;
  return !path.split(/[/\\]/).includes('..');
}
