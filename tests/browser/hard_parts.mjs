//! The hard parts of signing in, in a real browser: forms and fragments that survive it, one's own password, and
//! the pages on the way in several languages, held against axe-core (WCAG 2.2 AA), by keyboard and without
//! scripts.

import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';

import { AXE, noAxe, violations } from './support/axe.mjs';
import { Room, missing, signIn, signInAt, waitForLoginPage } from './support/room.mjs';

const SHOTS = process.env.PORTWAY_SHOTS ?? 'target/pages';
const WORDS = 'several words of mine';

describe('the hard parts of signing in', { skip: missing, timeout: 900_000, concurrency: 2 }, () => {
  let room;
  before(async () => {
    room = await Room.open();
    mkdirSync(SHOTS, { recursive: true });
  });
  after(() => room?.close());

  /** Signs the visitor out behind the page's back. */
  const forget = async (context) => {
    const kept = (await context.cookies()).filter(({ name }) => name.includes('-nonce-'));
    await context.clearCookies();
    await context.addCookies(kept);
  };

  const changePassword = (room) =>
    room.visit(
      async (_, page) => {
        await signInAt(page, room.url('app'), 'carol');
        await page.goto(room.url('login'));
        await page.getByRole('link', { name: 'Change password' }).press('Enter');
        await page.getByRole('heading', { name: 'Change password' }).waitFor();
        assert.equal(await page.getByLabel('User name').inputValue(), 'carol');
        for (const [words, alert] of [['short', null], ['carolcarolcarolcarol', /your user name/]]) {
          await page.getByLabel('Current password').fill('carol-demo');
          await page.getByLabel('New password', { exact: true }).fill(words);
          await page.getByLabel('New password, once more').fill(words);
          await page.keyboard.press('Enter');
          // The browser asks for a longer one by itself.
          if (alert) assert.match(await page.getByRole('alert').innerText(), alert);
        }
        await page.getByLabel('Current password').fill('carol-demo');
        await page.keyboard.press('Tab');
        await page.keyboard.type(WORDS);
        await page.keyboard.press('Tab');
        await page.keyboard.type(WORDS);
        await page.keyboard.press('Tab');
        await page.keyboard.press('Tab');
        await page.keyboard.press('Enter');
        await page.getByRole('heading', { name: 'Your password has been changed' }).waitFor();
        await page.goto(room.url('app', '/again'));
        assert.match(await page.locator('header').innerText(), /signed in as carol/);
      },
      { javaScriptEnabled: false, expected: [/status of 4(03|22)/] },
    );

  test('a form that was filled in while the session ended is sent after the sign-in (D-22)', () =>
    room.visit(async (context, page) => {
      await signInAt(page, room.url('app', '/admin'), 'carol');
      await forget(context);
      const posted = page.waitForRequest((request) => request.method() === 'POST' && request.url() === room.url('app', '/admin/stop') && request.postData() !== null && request.frame().url().includes('/.portway/replay'));
      await page.getByRole('button', { name: 'stop clock-1' }).click();
      await waitForLoginPage(page, 'app.portway.localhost');
      await signIn(page, 'carol');
      assert.equal((await posted).postData(), 'instance=clock-1');
      await page.getByRole('button', { name: 'start clock-1' }).click();
      await page.getByRole('button', { name: 'stop clock-1' }).waitFor();
      assert.equal(page.url(), room.url('app', '/admin'));
    }));

  test('without scripts a button sends the form (D-22)', () =>
    room.visit(
      async (context, page) => {
        await signInAt(page, room.url('app', '/admin'), 'carol');
        await forget(context);
        await page.getByRole('button', { name: 'stop clock-2' }).click();
        await signIn(page, 'carol');
        await page.getByRole('heading', { name: 'Sending your form' }).waitFor();
        await page.screenshot({ path: join(SHOTS, 'replay.png') });
        await page.keyboard.press('Tab');
        assert.equal(await page.evaluate(() => document.activeElement?.textContent), 'Send');
        await page.keyboard.press('Enter');
        await page.getByRole('button', { name: 'start clock-2' }).click();
      },
      { javaScriptEnabled: false },
    ));

  test('a file that was chosen is sent after the sign-in, as it was (D-22)', () =>
    room.visit(async (context, page) => {
      await signInAt(page, room.url('app', '/upload?x=1'), 'alice');
      await forget(context);
      await page.evaluate(() => {
        const form = document.createElement('form');
        form.method = 'post';
        form.enctype = 'multipart/form-data';
        form.innerHTML = '<input name="note" value="über"><input type="file" name="file">';
        document.body.append(form);
      });
      const content = Buffer.from([0, 1, 2, 253, 254, 255, 13, 10, 45, 45]);
      await page.locator('input[type=file]').setInputFiles({ name: 'ä "q".bin', mimeType: 'application/x-odd', buffer: content });
      // Chromium does not tell what it posts where there is a file among it: so the page is asked for it.
      let sent;
      await page.exposeFunction('sends', (fields) => {
        sent = fields;
      });
      await page.addInitScript(() => {
        const { submit } = HTMLFormElement.prototype;
        HTMLFormElement.prototype.submit = async function () {
          if (location.pathname === '/.portway/replay') {
            const { note, file } = Object.fromEntries(new FormData(this));
            const content = [...new Uint8Array(await file.arrayBuffer())];
            await window.sends({ note, name: file.name, type: file.type, content, enctype: this.enctype });
          }
          submit.call(this);
        };
      });
      await page.evaluate(() => document.body.lastElementChild.submit());
      await waitForLoginPage(page);
      const arrived = page.waitForResponse((response) => response.request().method() === 'POST' && response.url() === room.url('app', '/upload?x=1'));
      await signIn(page, 'alice');
      assert.equal((await arrived).status(), 200);
      assert.deepEqual(sent, {
        note: 'über',
        name: 'ä "q".bin',
        type: 'application/x-odd',
        content: [...content],
        enctype: 'multipart/form-data',
      });
    }));

  test('what follows a # survives the sign-in, and a sign-in without a question (D-22)', () =>
    room.visit(async (_, page) => {
      const wanted = room.url('app', '/chapter?one=1#part-3');
      await page.goto(wanted);
      await waitForLoginPage(page);
      await signIn(page, 'alice', 'wrong');
      await page.getByRole('alert').waitFor();
      await signIn(page, 'alice');
      await page.waitForURL(wanted);
      const other = room.url('other', '/#there');
      await page.goto(other);
      assert.equal(page.url(), other);
    }));

  test('without scripts the page is reached, at its beginning (D-22)', () =>
    room.visit(
      async (_, page) => {
        await page.goto(room.url('app', '/chapter#part-3'));
        await signIn(page, 'alice');
        await page.waitForURL(room.url('app', '/chapter'));
      },
      { javaScriptEnabled: false },
    ));

  test('a user changes the password by keyboard, without scripts, and others are signed out', async () => {
    // The others of this room go on with the old one.
    const own = await Room.open();
    try {
      await changePassword(own);
    } finally {
      await own.close();
    }
  });

  for (const [locale, lang, dir] of [['en-GB', 'en', 'ltr'], ['de-DE', 'de', 'ltr'], ['fr-FR', 'fr', 'ltr'], ['ar-EG', 'ar', 'rtl']]) {
    for (const look of ['light', 'dark']) {
      test(`the pages on the way are accessible: ${lang}, ${look}`, { skip: noAxe }, () =>
        room.visit(
          async (_, page) => {
            const check = async (name) => {
              assert.equal(await page.evaluate(() => document.documentElement.lang), lang, name);
              assert.equal(await page.evaluate(() => document.documentElement.dir), dir, name);
              await page.screenshot({ path: join(SHOTS, `${name}-${lang}-${look}.png`), fullPage: true });
              await page.evaluate(AXE);
              assert.deepEqual(await violations(page), [], name);
            };
            const enter = async (user, password) => {
              await page.locator('#username').fill(user);
              await page.locator('#password').fill(password);
              await page.locator('#password').press('Enter');
            };
            await page.goto(room.url('app', '/admin'));
            await check('login');
            await enter(`nobody-${locale}`, 'wrong');
            await page.getByRole('alert').waitFor();
            await check('login-refused');
            await page.goto(room.url('login', '/.portway/password'));
            await check('password');
            await page.goto(room.url('app', '/admin'));
            await enter('alice', 'alice-demo');
            await page.waitForURL(room.url('app', '/admin'));
            await check('denied');
            await page.goto(room.url('login'));
            await check('welcome');
            await page.goto(room.url('app', '/.portway/nothing'));
            await check('not-found');
            await page.goto(room.url('login', '/.portway/logout'));
            await page.waitForLoadState();
            await check('signed-out');
          },
          { locale, colorScheme: look, viewport: { width: 420, height: 760 }, expected: [/status of 40[34]/] },
        ));
    }
  }
});
