import {
  provideVSCodeDesignSystem,
  vsCodeButton,
  vsCodeCheckbox,
  vsCodeDropdown,
  vsCodeOption,
  vsCodeProgressRing,
  vsCodeTextField,
} from '@vscode/webview-ui-toolkit';

/**
 * The one place that knows the toolkit. It is loaded with the page, since it reads the theme at window load;
 * whatever it is replaced by one day is a change of this folder only.
 */
export function registerToolkit(): void {
  provideVSCodeDesignSystem().register(
    vsCodeButton(),
    vsCodeCheckbox(),
    // An option must be known before the dropdown that holds it.
    vsCodeOption(),
    vsCodeDropdown(),
    vsCodeProgressRing(),
    vsCodeTextField(),
  );
}
