import { type Browser, chromium } from 'playwright-core';
import { CHROMIUM_FLAGS, ensureChromium } from '../../scripts/chromium.ts';

/** Headless Chromium, kept from talking to anybody but us. */
export async function launchBrowser(): Promise<Browser> {
  return await chromium.launch({ executablePath: ensureChromium(), headless: true, args: [...CHROMIUM_FLAGS] });
}
