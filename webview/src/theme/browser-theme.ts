/** Chooses VS Code's colours for a page outside of VS Code. Must run before the toolkit reads them, at window load. */

export const THEMES = ['dark', 'light', 'high-contrast', 'high-contrast-light'] as const;
export type ThemeName = (typeof THEMES)[number];

/** What the reader asked for in the address, or the system's preference. */
export function chooseTheme(wanted: string | null, prefers: (query: string) => boolean): ThemeName {
  const named = THEMES.find((theme) => theme === wanted);
  if (named) return named;
  const isLight = prefers('(prefers-color-scheme: light)');
  if (prefers('(prefers-contrast: more)')) return isLight ? 'high-contrast-light' : 'high-contrast';
  return isLight ? 'light' : 'dark';
}

/** Sets the body's classes as VS Code does, now and whenever the system's preference changes. */
export function applyBrowserTheme(): void {
  const wanted = new URLSearchParams(location.search).get('theme');
  const apply = () => {
    const theme = chooseTheme(wanted, (query) => matchMedia(query).matches);
    document.body.className = `syncscope-browser vscode-${theme}`;
    document.body.dataset.vscodeThemeKind = `vscode-${theme}`;
  };
  apply();
  for (const query of ['(prefers-color-scheme: light)', '(prefers-contrast: more)']) {
    matchMedia(query).addEventListener('change', apply);
  }
}
