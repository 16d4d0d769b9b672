//! Portway's own pages in a real browser: refusals, framing, accessibility, narrow and dark screens, and
//! what is left without the style sheet. Journeys are in the other files.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startElsewhere } from './support/elsewhere.mjs';
import { Room, missing, signIn, signInAt, signOut, waitForLoginPage } from './support/room.mjs';

describe('the pages', { skip: missing, timeout: 900_000, concurrency: 2 }, () => {
  let room;
  before(async () => {
    room = await Room.open();
  });
  after(() => room?.close());

  test('who may not open a page is told so, with a reference to give', () =>
    room.visit(async (_, page) => {
      await signInAt(page, room.url('app'), 'alice');
      const answer = await page.goto(room.url('app', '/admin'));
      assert.equal(answer.status(), 403);
      assert.equal(page.url(), room.url('app', '/admin'));
      await page.getByRole('heading', { name: 'Access denied' }).waitFor();
      const reference = await page.locator('code').innerText();
      assert.match(reference, /^[0-9a-f]{32}$/);
      assert.equal(reference, await answer.headerValue('x-request-id'));
      assert.doesNotMatch(await page.content(), /admins|policy|stop echo/);
      await page.goto(room.url('app'));
      assert.match(await page.locator('header').innerText(), /signed in as alice/);
    }));

  test('a deep link to a page that is not allowed is denied after the sign-in, not asked again', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app', '/admin'));
      await signIn(page, 'alice');
      await page.getByRole('heading', { name: 'Access denied' }).waitFor();
      assert.equal(page.url(), room.url('app', '/admin'));
    }));

  test('who is in the right group gets in, and can use the page', () =>
    room.visit(async (_, page) => {
      await signInAt(page, room.url('app', '/admin'), 'carol');
      await page.getByRole('heading', { name: 'Administration' }).waitFor();
      await page.getByRole('button', { name: 'stop clock-1' }).click();
      await page.getByRole('button', { name: 'start clock-1' }).click();
      await page.getByRole('button', { name: 'stop clock-1' }).waitFor();
    }));

  test('no page of ours can be framed, neither by a stranger nor by a page of the same site', async () => {
    const elsewhere = await startElsewhere(room);
    try {
      await room.visit(
        async (_, page) => {
          const framing = async (from, address) => {
            const loaded = page.waitForEvent('framenavigated', (frame) => frame !== page.mainFrame());
            await page.goto(from(`<iframe src="${address}"></iframe>`));
            return loaded;
          };
          await signInAt(page, room.url('app'), 'alice');
          // An application that lets itself be framed is framed, and the browser sends its cookies along.
          const application = await framing(elsewhere.sibling, room.url('app'));
          await application.getByText('signed in as alice').waitFor();
          for (const address of [
            room.url('app', '/admin'),
            room.url('app', '/.portway/logout'),
            room.url('login'),
            room.url('login', '/.portway/signed-out'),
          ]) {
            for (const from of [elsewhere.sibling, elsewhere.stranger]) {
              const frame = await framing(from, address);
              assert.equal(frame.url(), 'chrome-error://chromewebdata/', `${address} in ${from('')}`);
            }
          }
          // Without cookies, which a stranger's frame does not get, an application leads to the login page.
          const login = await framing(elsewhere.stranger, room.url('app'));
          assert.equal(login.url(), 'chrome-error://chromewebdata/');
        },
        { expected: [/frame-ancestors 'none'/] },
      );
    } finally {
      elsewhere.stop();
    }
  });

  test('the login page names its parts for those who do not see it', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app'));
      await waitForLoginPage(page);
      const user = page.getByRole('textbox', { name: 'User name', exact: true });
      const password = page.getByLabel('Password', { exact: true });
      assert.equal(await user.evaluate((input) => document.activeElement === input), true);
      assert.equal(await user.getAttribute('autocomplete'), 'username');
      assert.equal(await password.getAttribute('autocomplete'), 'current-password');
      assert.equal(await page.evaluate(() => document.documentElement.lang), 'en');
      assert.match(await page.title(), /\S/);
      assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1);
      assert.equal(await page.getByRole('main').count(), 1);
      assert.equal(await page.getByRole('alert').count(), 0);

      await signIn(page, 'alice', 'wrong');
      const alert = page.getByRole('alert');
      await alert.waitFor();
      assert.equal(await user.evaluate((input) => document.activeElement === input), true);
      const describedBy = await user.getAttribute('aria-describedby');
      assert.equal(describedBy, await alert.getAttribute('id'));
    }));

  test('an empty field is asked for by the browser, and nothing is sent', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app'));
      const posts = [];
      page.on('request', (request) => posts.push(request.method()));
      await page.getByLabel('User name').fill('alice');
      await page.getByRole('button', { name: 'Sign in' }).click();
      assert.equal(await page.evaluate(() => document.activeElement.id), 'password');
      assert.deepEqual(posts, []);
    }));

  test('the login page is complete without its style sheet', () =>
    room.visit(
      async (context, page) => {
        await context.route('**/style.css', (route) => route.abort());
        await page.goto(room.url('app', '/plain'));
        assert.equal(await page.evaluate(() => getComputedStyle(document.body).display), 'block');
        for (const part of [page.getByText('User name'), page.getByLabel('Password'), page.getByRole('button')]) {
          assert.equal(await part.isVisible(), true);
        }
        await signIn(page, 'alice', 'wrong');
        await page.getByRole('alert').waitFor();
        await signIn(page, 'alice');
        await page.waitForURL(room.url('app', '/plain'));
      },
      { expected: [/net::ERR_FAILED/] },
    ));

  for (const colorScheme of ['light', 'dark']) {
    test(`every page is readable on a narrow ${colorScheme} screen`, () =>
      room.visit(
        async (_, page) => {
          const look = async (name) => {
            const seen = await page.evaluate(measure);
            assert.ok(seen.width <= 320, `${name} is ${seen.width} wide`);
            assert.equal(seen.dark, colorScheme === 'dark', `${name} follows the scheme`);
            assert.ok(seen.texts.length > 0);
            for (const { text, ratio } of seen.texts) {
              assert.ok(ratio >= 4.5, `${name}: “${text}” has a contrast of ${ratio.toFixed(2)}`);
            }
            if (!SHOTS) return;
            await page.screenshot({ path: `${SHOTS}/${name}-narrow-${colorScheme}.png` });
            await page.setViewportSize(WIDE);
            await page.screenshot({ path: `${SHOTS}/${name}-${colorScheme}.png` });
            await page.setViewportSize(NARROW);
          };
          await page.goto(room.url('app'));
          await waitForLoginPage(page);
          await look('login');
          await signIn(page, 'alice', 'wrong');
          await page.getByRole('alert').waitFor();
          await look('failure');
          await signIn(page, 'alice');
          await page.waitForURL(room.url('app'));
          await page.goto(room.url('app', '/admin'));
          await look('denied');
          await page.goto(room.url('login'));
          await look('welcome');
          await page.goto(room.url('app'));
          await signOut(page);
          await look('signed-out');
        },
        { colorScheme, viewport: NARROW },
      ));
  }
});

const NARROW = { width: 320, height: 568 };
const WIDE = { width: 1000, height: 700 };
/** A folder for pictures of the pages, for somebody who wants to look at them. */
const SHOTS = process.env.PORTWAY_SHOTS;

/** Runs in the page: its width, whether it is dark, and the contrast of each text (WCAG 2.2, 1.4.3). */
function measure() {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = parts(colour).map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const backgroundOf = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return 'rgb(255, 255, 255)';
  };
  const texts = [...document.querySelectorAll('h1, p, label, button, code, strong')].map((element) => {
    const [low, high] = [getComputedStyle(element).color, backgroundOf(element)]
      .map(luminance)
      .sort((a, b) => a - b);
    return { text: element.textContent.trim(), ratio: (high + 0.05) / (low + 0.05) };
  });
  return {
    width: document.scrollingElement.scrollWidth,
    dark: luminance(getComputedStyle(document.body).backgroundColor) < 0.5,
    texts,
  };
}
