import type { HTMLAttributes, Key, Ref } from 'react';

/** The toolkit's elements as React 19 renders them: booleans and values are set as properties. */
interface ElementProps extends HTMLAttributes<HTMLElement> {
  key?: Key;
  ref?: Ref<HTMLElement>;
}

declare module 'react' {
  namespace JSX {
    interface IntrinsicElements {
      'vscode-button': ElementProps & {
        class?: string;
        appearance?: 'primary' | 'secondary' | 'icon';
        disabled?: boolean;
      };
      'vscode-checkbox': ElementProps & { checked?: boolean; disabled?: boolean };
      'vscode-dropdown': ElementProps & { disabled?: boolean };
      'vscode-option': ElementProps & { value?: string; selected?: boolean };
      'vscode-progress-ring': ElementProps;
      'vscode-text-field': ElementProps & { value?: string; placeholder?: string; disabled?: boolean };
    }
  }
}
