import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { SuiteResults } from '../results.ts';
import { expect, retry, type Step, screenshotPath, walk } from './check.ts';
import type { Workbench } from './workbench.ts';

/** An update may write over the corrupted value before anybody compares, and then nothing differed. */
const FAULT_TRIES = 4;

/** The session of peers that is started in a window of each theme, and what it then shows. */
const SCENARIOS = {
  light: { title: 'Craps', row: /Craps/, shows: 'peer-5' },
  dark: { title: 'Call', row: /Call/, shows: 'peer-4' },
} as const;

/**
 * A user's first session in a theme: start the server from the activity bar, attach, make a copy drift, record, open the
 * file. The workspace's setting puts captures into its folder `captures`.
 */
export function liveSession(
  workbench: Workbench,
  folder: string,
  theme: keyof typeof SCENARIOS,
): Promise<SuiteResults> {
  const captures = () => readdirSync(join(folder, 'captures')).filter((name) => name.endsWith('.mcap'));
  const scenario = SCENARIOS[theme];
  const steps: Step[] = [
    {
      title: 'an empty view says how to begin',
      async run() {
        await workbench.openContainer('Syncscope');
        await workbench.welcome('No session is running').waitFor();
        await workbench.screenshot(screenshotPath(`welcome-${theme}`));
      },
    },
    {
      title: 'the sample server starts by a click and is listed',
      async run() {
        await workbench.welcome('No session is running').getByText('Start the Sample Server').click();
        await workbench.row('127.0.0.1:').waitFor();
      },
    },
    {
      title: 'a click on the session attaches and shows the inspector',
      async run() {
        await workbench.row('127.0.0.1:').click();
        await workbench.inspector('bot-2');
        await workbench.row(/bot-2.*v\d/).waitFor();
      },
    },
    {
      title: 'the verdict is in the status bar',
      async run() {
        await workbench.statusBar(/agree|behind|differs/).waitFor();
        await workbench.screenshot(screenshotPath(`live-${theme}`));
      },
    },
    {
      title: 'the session is recorded',
      async run() {
        await workbench.run('Syncscope: Record Session');
        await workbench.row(/adventure.*\.mcap/).waitFor();
        expect(captures().length === 1, 'there is no capture file');
      },
    },
    {
      title: 'a corrupted value shows in the inspector, by replica and field',
      async run() {
        const desync = workbench.row(/bot-2 differs since v/).first();
        await retry(FAULT_TRIES, async () => {
          await workbench.run('Syncscope: Inject a Fault…');
          await workbench.pick('Corrupt a value');
          await workbench.pick('bot-2');
          await desync.waitFor({ timeout: 5_000 });
        });
        // The repair follows in a moment. Whichever row says it, the session's or that of the desync, one click leads to it.
        await desync.click();
        await workbench.inspector(/bot-2 differs from server since v\d+/);
        await workbench.screenshot(screenshotPath(`divergence-${theme}`));
      },
    },
    {
      title: 'the verdict is whole in a narrow window',
      async run() {
        const frame = await workbench.inspector('bot-2');
        await workbench.page.setViewportSize({ width: 1_000, height: 900 });
        const verdict = frame.locator('.verdict');
        await verdict.filter({ hasText: /differs/ }).waitFor();
        const cutOff = await verdict.evaluate((one) => one.scrollWidth - one.clientWidth);
        await workbench.screenshot(screenshotPath(`narrow-${theme}`));
        await workbench.page.setViewportSize({ width: 1_440, height: 900 });
        expect(cutOff === 0, `${cutOff} px of it are not seen`);
      },
    },
    {
      title: 'a fault that is about everybody asks for nobody',
      async run() {
        await workbench.runAndPick('Syncscope: Inject a Fault…', 'Heal every partition');
        await workbench.page.locator('.quick-input-widget').waitFor({ state: 'hidden' });
      },
    },
    {
      title: 'the recording stops and is offered',
      async run() {
        await workbench.run('Syncscope: Stop Recording');
        const offer = await workbench.notification('Recorded to');
        await offer.getByText('Open Capture').click();
      },
    },
    {
      title: 'the capture opens in the custom editor and tells of the divergence',
      async run() {
        const [name] = captures();
        await workbench.page.locator('.tab.active', { hasText: name ?? '' }).waitFor();
        const frame = await workbench.inspector('bot-2');
        // From the last position to the marker, as a user would.
        await frame.locator('body').click({ position: { x: 400, y: 300 } });
        await workbench.page.keyboard.press('Alt+ArrowLeft');
        await workbench.inspector(/bot-2 differs from server since v\d+/);
        await workbench.screenshot(screenshotPath(`capture-${theme}`));
      },
    },
    {
      title: 'a hidden editor comes back as it was',
      async run() {
        const [name] = captures();
        await workbench.openFile('notes.txt');
        await workbench.page.locator('.tab', { hasText: name ?? '' }).click();
        // Its context was thrown away; what was selected is selected again.
        await workbench.inspector(/bot-2 differs from server since v\d+/);
      },
    },
    {
      title: 'a file cut in the middle opens with an alert',
      async run() {
        const whole = readFileSync(join(folder, 'captures', captures()[0] ?? ''));
        writeFileSync(join(folder, 'torn.mcap'), whole.subarray(0, Math.floor(whole.length * 0.6)));
        await workbench.row('torn.mcap').click();
        await workbench.page.locator('.tab.active', { hasText: 'torn.mcap' }).waitFor();
        await workbench.inspector(/cut|missing|incomplete|ends/i);
        await workbench.screenshot(screenshotPath(`torn-${theme}`));
      },
    },
    {
      title: 'a picture that is called a capture is told of by name, with the way on',
      async run() {
        await workbench.openFile('picture.mcap');
        await workbench.inspector('picture.mcap');
        await workbench.inspector(/JPEG|not (a|an MCAP) capture|not an MCAP/i);
        await workbench.screenshot(screenshotPath(`picture-${theme}`));
      },
    },
    {
      title: 'an empty file is told of by name',
      async run() {
        await workbench.openFile('empty.mcap');
        await workbench.inspector('empty.mcap');
        await workbench.inspector(/empty|0 bytes|no bytes/i);
      },
    },
    {
      title: 'the captures are listed',
      async run() {
        await workbench.row(captures()[0] ?? '').waitFor();
        await workbench.row('torn.mcap').waitFor();
      },
    },
    {
      title: 'the sample server stops by a command and its session goes',
      async run() {
        await workbench.run('Syncscope: Stop Sample Server');
        await workbench.row('ended').waitFor();
      },
    },
    {
      title: `${scenario.title} is chosen from the menu, attached to, and shows its peers agreeing`,
      async run() {
        await workbench.runAndPick('Syncscope: Start Sample Server with a Scenario', scenario.title);
        await workbench.row(scenario.row).click();
        await workbench.inspector(scenario.shows);
        await workbench.statusBar(/agree/).waitFor();
        await workbench.screenshot(screenshotPath(`${scenario.title.toLowerCase()}-${theme}`));
        await workbench.run('Syncscope: Stop Sample Server');
      },
    },
    {
      title: 'nothing broke the content security policy',
      async run() {
        expect(workbench.violations.length === 0, workbench.violations.join('\n'));
      },
    },
  ];
  return walk(`outside, ${theme}:`, workbench, steps);
}
