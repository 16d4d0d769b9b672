//! Signing in with a real browser: deep links, tabs, further applications, failures, without scripts,
//! without a mouse. Signing out is `sign_out.mjs`.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { startOnward } from './support/onward.mjs';
import { Room, cookieNames, missing, signIn, signInAt, waitForLoginPage } from './support/room.mjs';

describe('signing in', { skip: missing, timeout: 900_000, concurrency: 2 }, () => {
  let room;
  before(async () => {
    room = await Room.open();
  });
  after(() => room?.close());

  const DEEP_LINK = '/some/deep/link?with=query&encoded=a%20b%26c&return=https://elsewhere.example/';

  test('a deep link leads over the login page back to the same address, query included', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app', DEEP_LINK));
      await waitForLoginPage(page, 'app.portway.localhost');
      await signIn(page, 'alice');
      await page.waitForURL(room.url('app', DEEP_LINK));
      assert.match(await page.locator('pre').innerText(), new RegExp(`^GET ${escape(DEEP_LINK)}\n`));
      assert.match(await page.locator('header').innerText(), /signed in as alice \(staff\)/);
    }));

  test('the cookies of a sign-in are secure, unreadable for scripts, under 1 KiB and host-only but for one (M-014, M-015, M-020)', () =>
    room.visit(async (context, page) => {
      await signInAt(page, room.url('app'), 'alice');
      await page.goto(room.url('other'));
      assert.deepEqual(await cookieNames(context), [
        ' __Secure-portway-gito-main',
        'app __Host-portway-authn-main',
        'app __Host-portway-nonce-main',
        'login __Host-portway-id-main',
        'login __Host-portway-nonce-main',
        'other __Host-portway-authn-main',
        'other __Host-portway-nonce-main',
      ]);
      const all = await context.cookies();
      const isDevice = ({ name }) => name === '__Host-portway-device-main';
      const [device] = all.filter(isDevice);
      assert.equal(device.domain, 'login.portway.localhost');
      assert.ok(device.expires > Date.now() / 1000 + 170 * 24 * 3600, 'it knows the browser for half a year');
      const cookies = all.map((cookie) => (isDevice(cookie) ? { ...cookie, expires: -1 } : cookie));
      for (const { domain, httpOnly, secure, sameSite, expires, path } of cookies) {
        assert.match(domain, /^[a-z]*\.portway\.localhost$/);
        assert.deepEqual(
          { httpOnly, secure, sameSite, expires, path },
          { httpOnly: true, secure: true, sameSite: 'Lax', expires: -1, path: '/' },
        );
      }
      for (const host of ['app', 'other', 'login']) {
        const own = cookies.filter(({ domain }) => `${host}.portway.localhost`.endsWith(domain));
        const bytes = own.reduce((sum, { name, value }) => sum + name.length + value.length + 3, 0);
        assert.ok(bytes < 1024, `${bytes} bytes on ${host}`);
      }
      assert.equal(await page.evaluate(() => document.cookie), '');
      assert.doesNotMatch(await page.locator('table').innerText(), /portway-(authn|gito|nonce|id)/);
    }));

  test('two tabs opened before the sign-in both complete, with one nonce cookie per host (D-9)', () =>
    room.visit(async (context, first) => {
      const second = await context.newPage();
      const [one, two] = [room.url('app', '/first?tab=1'), room.url('app', '/second?tab=2')];
      await first.goto(one);
      await second.goto(two);
      const nonces = async () => (await context.cookies()).filter(({ name }) => name.includes('-nonce-'));
      const before = await nonces();
      assert.deepEqual(before.map(({ domain }) => domain.split('.')[0]).sort(), ['app', 'login']);
      await signIn(second, 'alice');
      await second.waitForURL(two);
      await signIn(first, 'alice');
      await first.waitForURL(one);
      assert.deepEqual(await nonces(), before);
      await second.reload();
      assert.equal(second.url(), two);
      assert.match(await second.locator('header').innerText(), /signed in as alice/);
    }));

  test('a tab that waited at the login page goes on by itself once another has signed in (D-9)', () =>
    room.visit(async (context, first) => {
      const second = await context.newPage();
      const [one, two] = [room.url('app', '/first'), room.url('other', '/second')];
      await first.goto(one);
      await second.goto(two);
      await signIn(first, 'alice');
      await first.waitForURL(one);
      await second.reload();
      assert.equal(second.url(), two);
    }));

  test('a second application opens without a page', () =>
    room.visit(async (_, page) => {
      await signInAt(page, room.url('app'), 'alice');
      const pages = [];
      page.on('response', (answer) => {
        if (answer.request().isNavigationRequest() && answer.status() === 200) pages.push(answer.url());
      });
      await page.goto(room.url('other', '/where?to=go'));
      assert.deepEqual(pages, [room.url('other', '/where?to=go')]);
      assert.match(await page.locator('header').innerText(), /signed in as alice/);
    }));

  test('the back button after a sign-in ends where the user wanted to go', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app', '/public'));
      await signInAt(page, room.url('app', '/wanted'), 'alice');
      await page.goBack();
      await page.waitForURL(/\/(wanted|public)$/);
      assert.match(await page.locator('header').innerText(), /app\.portway\.localhost/);
    }));

  test('a wrong password and an unknown user get the same alert, and the page goes on working', () =>
    room.visit(async (context, page) => {
      await page.goto(room.url('app', '/deep?after=failure'));
      for (const [user, password] of [['alice', 'wrong'], ['nobody', 'wrong'], ['<b>&"', 'wrong']]) {
        await signIn(page, user, password);
        await page.getByRole('alert').waitFor();
        assert.equal(await page.getByRole('alert').innerText(), 'The user name or the password is not right.');
        assert.equal(await page.getByLabel('Password').inputValue(), '');
        await waitForLoginPage(page, 'app.portway.localhost');
      }
      assert.doesNotMatch((await cookieNames(context)).join(), /-id-|-authn-/);
      await signIn(page, 'alice');
      await page.waitForURL(room.url('app', '/deep?after=failure'));
    }));

  test('a login page whose cookies were lost says so, and the next try gets through (D-9)', () =>
    room.visit(async (context, page) => {
      await page.goto(room.url('app', '/deep?cookies=lost'));
      await waitForLoginPage(page);
      await context.clearCookies();
      await signIn(page, 'alice');
      await page.getByRole('alert').waitFor();
      assert.match(await page.getByRole('alert').innerText(), /Please sign in again/);
      await signIn(page, 'alice');
      await page.waitForURL(room.url('app', '/deep?cookies=lost'));
    }));

  test('signing in needs no script', () =>
    room.visit(
      async (_, page) => {
        await signInAt(page, room.url('app', '/without?script'), 'alice');
        assert.match(await page.locator('header').innerText(), /signed in as alice/);
      },
      { javaScriptEnabled: false },
    ));

  test('signing in needs no mouse', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('app', '/by/keyboard'));
      await page.keyboard.type('alice');
      await page.keyboard.press('Tab');
      await page.keyboard.type('wrong');
      await page.keyboard.press('Tab');
      assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Sign in');
      await page.keyboard.press('Enter');
      await page.getByRole('alert').waitFor();
      await page.keyboard.type('alice');
      await page.keyboard.press('Tab');
      await page.keyboard.type('alice-demo');
      await page.keyboard.press('Enter');
      await page.waitForURL(room.url('app', '/by/keyboard'));
    }));

  test('who comes to the login host itself is told who is signed in', () =>
    room.visit(async (_, page) => {
      await page.goto(room.url('login'));
      await signIn(page, 'carol');
      await page.getByRole('heading', { name: 'Signed in' }).waitFor();
      assert.match(await page.getByRole('main').innerText(), /You are signed in as carol\./);
    }));

  test('a plain address leads to https and on to the same page', () =>
    room.visit(async (_, page) => {
      const plain = Number(/name: http\n\s+bind: 127\.0\.0\.1:(\d+)/.exec(room.configuration())[1]);
      await page.goto(`http://app.portway.localhost:${plain}/plain?q=1`);
      await waitForLoginPage(page, 'app.portway.localhost');
      await signIn(page, 'alice');
      await page.waitForURL(room.url('app', '/plain?q=1'));
    }));

  test('an application that redirects to another host gets the browser there after the sign-in', async () => {
    const onward = await startOnward(room, (port) => `https://other.portway.localhost:${port}/landed?on=other`);
    try {
      await room.visit(async (_, page) => {
        await page.goto(onward.url('app', '/onward'));
        await signIn(page, 'alice');
        await page.waitForURL(onward.url('other', '/landed?on=other'));
        assert.match(await page.locator('header').innerText(), /signed in as alice/);
      });
    } finally {
      await onward.stop();
    }
  });
});

function escape(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
