//! Every page of Portway's own with everything that it may show, as `portway pages` writes them: held against
//! axe-core (WCAG 2.2 AA) in every language and look, and gone through by keyboard.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { AXE, noAxe, violations } from './support/axe.mjs';
import { PORTWAY, Room, missing } from './support/room.mjs';

const SHOTS = process.env.PORTWAY_SHOTS ?? 'target/pages';
const LANGUAGES = { ar: 'rtl', de: 'ltr', en: 'ltr', fr: 'ltr' };
const PAGES = ['login', 'maintenance', 'message', 'onward', 'password', 'replay', 'signed_out'];
/** Where the files are shown to be. */
const ORIGIN = 'https://pages.portway.localhost';
/** Scripts that lead on by themselves do not. */
const STILL = { 'content-security-policy': "script-src 'none'" };
const CONTROLS = 'a[href], button, input:not([type=hidden]), select, textarea, summary';

describe('every page with everything that it may show', { skip: missing, timeout: 900_000, concurrency: 2 }, () => {
  let room;
  let folder;
  before(async () => {
    room = await Room.open();
    folder = join(room.folder, 'pages');
    mkdirSync(SHOTS, { recursive: true });
    const args = ['pages', '--config', join(room.folder, 'a', 'gateway.yaml'), '--dir', folder];
    const { status, stderr } = spawnSync(PORTWAY, args, { encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
  after(() => room?.close());

  /** Opens each page in a language, and lets none of them lead away. */
  const each = (language, look, check) => {
    const files = readdirSync(folder).filter((name) => name.startsWith(`${language}-`));
    for (const page of PAGES) {
      assert.ok(files.some((name) => name.startsWith(`${language}-${page}-`)), `no ${page} in ${language}`);
    }
    return room.visit(
      async (context, page) => {
        await context.route('**', (route) => {
          const { origin, pathname } = new URL(route.request().url());
          if (origin !== ORIGIN) return route.abort('aborted');
          return route.fulfill({ path: join(folder, pathname), headers: STILL });
        });
        for (const name of files) {
          await page.goto(`${ORIGIN}/${name}`);
          await check(page, name.replace('.html', ''));
        }
      },
      { colorScheme: look, viewport: { width: 420, height: 760 }, expected: [/Content Security Policy/] },
    );
  };

  for (const [language, direction] of Object.entries(LANGUAGES)) {
    for (const look of language === 'en' ? ['light', 'dark'] : ['light']) {
      test(`is accessible: ${language}, ${look}`, { skip: noAxe }, () =>
        each(language, look, async (page, name) => {
          const root = await page.evaluate(() => [document.documentElement.lang, document.documentElement.dir]);
          assert.deepEqual(root, [language, direction], name);
          await page.screenshot({ path: join(SHOTS, `sample-${name}-${look}.png`), fullPage: true });
          await page.evaluate(AXE);
          assert.deepEqual(await violations(page), [], name);
        }),
      );
    }
  }

  test('is gone through by keyboard', () =>
    each('en', 'light', async (page, name) => {
      const controls = page.locator(CONTROLS).filter({ visible: true });
      const count = await controls.count();
      await page.evaluate(() => document.activeElement.blur());
      for (let tab = 0; tab < count + 2; tab += 1) {
        await page.keyboard.press('Tab');
        await page.evaluate(() => document.activeElement.setAttribute('data-reached', ''));
      }
      const reached = await controls.and(page.locator('[data-reached]')).count();
      assert.equal(reached, count, name);
    }));
});
