/**
 * Colours of the canvas by purpose, read from the theme. A canvas cannot use `var(…)`, so they are read
 * again whenever the theme changes; nothing else in the timeline names a colour.
 */
export type Ink =
  | 'text'
  | 'muted'
  | 'faint'
  | 'hairline'
  | 'background'
  | 'band'
  | 'message'
  | 'change'
  | 'prediction'
  | 'error'
  | 'warning'
  | 'good'
  | 'accent';

export interface Palette {
  readonly ink: Readonly<Record<Ink, string>>;
  readonly font: string;
  readonly smallFont: string;
  /** High contrast themes get full strokes instead of translucent ones. */
  readonly isHighContrast: boolean;
}

/** For each purpose the theme colours that serve it, the best first. */
const SOURCES: Readonly<Record<Ink, readonly string[]>> = {
  text: ['--vscode-foreground', '--vscode-editor-foreground'],
  muted: ['--vscode-descriptionForeground', '--vscode-foreground'],
  faint: ['--vscode-disabledForeground', '--vscode-descriptionForeground'],
  hairline: ['--vscode-contrastBorder', '--vscode-editorWidget-border', '--vscode-panel-border'],
  background: ['--vscode-editor-background'],
  band: ['--vscode-list-hoverBackground', '--vscode-editorWidget-background'],
  message: ['--vscode-charts-blue', '--vscode-foreground'],
  change: ['--vscode-charts-foreground', '--vscode-foreground'],
  prediction: ['--vscode-charts-purple', '--vscode-foreground'],
  error: ['--vscode-errorForeground', '--vscode-charts-red'],
  warning: ['--vscode-editorWarning-foreground', '--vscode-charts-yellow'],
  good: ['--vscode-charts-green', '--vscode-foreground'],
  accent: ['--vscode-focusBorder', '--vscode-charts-blue'],
};

/** Reads the palette from an element's computed style. */
export function readPalette(element: Element): Palette {
  const style = getComputedStyle(element);
  const first = (names: readonly string[]): string => {
    for (const name of names) {
      const value = style.getPropertyValue(name).trim();
      if (value !== '') return value;
    }
    // Outside every theme the text's own colour is at least legible.
    return style.color;
  };
  const ink = {} as Record<Ink, string>;
  for (const name of Object.keys(SOURCES) as Ink[]) ink[name] = first(SOURCES[name]);
  const family = style.getPropertyValue('--vscode-font-family').trim() || 'sans-serif';
  const classes = document.body.classList;
  return {
    ink,
    font: `11px ${family}`,
    smallFont: `10px ${family}`,
    isHighContrast: classes.contains('vscode-high-contrast') || classes.contains('vscode-high-contrast-light'),
  };
}

/** Calls `listener` whenever the theme changes: VS Code then changes the body's class and the root's style. */
export function watchTheme(listener: () => void): () => void {
  const observer = new MutationObserver(listener);
  observer.observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ['class', 'style'] });
  return () => observer.disconnect();
}
