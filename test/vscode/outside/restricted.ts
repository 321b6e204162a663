import type { SuiteResults } from '../results.ts';
import { expect, type Step, screenshotPath, walk } from './check.ts';
import type { Workbench } from './workbench.ts';

/** The packaged extension in a workspace that is not trusted: captures open, nothing is attached or started. */
export function restrictedMode(workbench: Workbench): Promise<SuiteResults> {
  const steps: Step[] = [
    {
      title: 'the view says why it is empty',
      async run() {
        await workbench.openContainer('Syncscope');
        await workbench.welcome('In Restricted Mode').waitFor();
        await workbench.screenshot(screenshotPath('restricted'));
      },
    },
    {
      title: 'the sample server cannot be started',
      async run() {
        expect(!(await workbench.offers('Syncscope: Start Sample Server')), 'the command is offered');
        expect(!(await workbench.offers('Syncscope: Attach by URL…')), 'attaching is offered');
      },
    },
    {
      title: 'the bundled capture opens and shows its divergence',
      async run() {
        await workbench.run('Syncscope: Open Sample Capture');
        const frame = await workbench.inspector('bot-2');
        await frame.locator('body').click({ position: { x: 400, y: 300 } });
        await workbench.page.keyboard.press('Alt+ArrowLeft');
        await workbench.inspector(/bot-2 differs from server since v\d+/);
        await workbench.screenshot(screenshotPath('installed-sample'));
      },
    },
    {
      title: 'nothing broke the content security policy',
      async run() {
        expect(workbench.violations.length === 0, workbench.violations.join('\n'));
      },
    },
  ];
  return walk('installed from the package, Restricted Mode:', workbench, steps);
}
