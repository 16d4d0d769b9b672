//! The room of a browser test: one running demonstration, one real Chromium, visitors with cookie jars of
//! their own. What the pages should show stands in the tests, not here.
//!
//! Chromium trusts the certificate by its key, so that it treats the hosts as securely as any other: with
//! certificate errors ignored page by page, it would keep nothing for the back button.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate, createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CHROMIUM = process.env.CHROMIUM_BIN ?? '/usr/bin/chromium';
/** The program that is tried. */
export const PORTWAY = process.env.PORTWAY_BIN ?? 'target/debug/portway';
/** How long anything may take that is waited for. */
export const PATIENCE_MS = 30_000;

const playwright = await import('playwright-core').catch(() => undefined);

/** Why the browser tests cannot run, for `skip`; continuous integration must have everything. */
export const missing = process.env.CI === 'true' ? false : reasonToSkip();

function reasonToSkip() {
  if (!playwright) return 'playwright-core is not installed: run scripts/test-parts.sh';
  if (!existsSync(CHROMIUM)) return 'Chromium is not installed: run scripts/test-parts.sh';
  return false;
}

/** A running demonstration and a browser in front of it. */
export class Room {
  /** Starts both, on free ports; a closed room leaves nothing behind. */
  static async open() {
    const reason = reasonToSkip();
    if (reason) throw new Error(reason);
    const room = new Room();
    try {
      room.folder = mkdtempSync(join(tmpdir(), 'portway-browser-'));
      const args = ['demo', '--port', '0', '--plain-port', '0', '--dir', room.folder];
      room.demo = await Program.start(args, /Stop with Ctrl-C/);
      room.port = Number(/https:\/\/app\.portway\.localhost:(\d+)\//.exec(room.demo.output)[1]);
      room.browser = await playwright.chromium.launch({
        executablePath: CHROMIUM,
        // Several start at once beside other tests.
        timeout: 4 * PATIENCE_MS,
        // A browser as people have it keeps pages for the back button.
        ignoreDefaultArgs: ['--disable-back-forward-cache'],
        args: [`--ignore-certificate-errors-spki-list=${keyHash(join(room.folder, 'certificate.pem'))}`],
      });
    } catch (error) {
      await room.close();
      throw error;
    }
    return room;
  }

  async close() {
    await this.browser?.close();
    await this.demo?.stop();
    if (this.folder) rmSync(this.folder, { recursive: true, force: true });
  }

  /** The configuration that the demonstration wrote for its first data centre. */
  configuration() {
    return readFileSync(join(this.folder, 'a', 'gateway.yaml'), 'utf8');
  }

  /** An address at one of the demonstration's hosts: `app`, `other`, `login`. */
  url(host, path = '/') {
    return `https://${host}.portway.localhost:${this.port}${path}`;
  }

  /**
   * Lets somebody with an empty cookie jar visit, and fails if any page complained on the console. A
   * complaint that belongs to the visit matches one of `expected`.
   */
  async visit(visiting, { expected = [], ...options } = {}) {
    const context = await this.browser.newContext(options);
    context.setDefaultTimeout(PATIENCE_MS);
    const complaints = [];
    context.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
    });
    context.on('weberror', (error) => complaints.push(String(error.error())));
    try {
      await visiting(context, await context.newPage());
      const tolerated = [REFUSED, ...expected];
      assert.deepEqual(complaints.filter((text) => !tolerated.some((known) => known.test(text))), []);
    } finally {
      await context.close();
    }
  }
}

/** A running `portway`. */
export class Program {
  output = '';

  /** Starts it and waits until what it prints says that it is ready. */
  static async start(args, ready) {
    const program = new Program();
    program.process = spawn(PORTWAY, args, {
      env: { ...process.env, NO_COLOR: '1' },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    program.ended = new Promise((resolve) => {
      program.process.once('exit', resolve);
      program.process.once('error', resolve);
    });
    const isReady = new Promise((resolve) => {
      const take = (chunk) => {
        program.output += chunk;
        if (ready.test(program.output)) resolve(true);
      };
      program.process.stdout.setEncoding('utf8').on('data', take);
      program.process.stderr.setEncoding('utf8').on('data', take);
    });
    const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, false).unref());
    const began = await Promise.race([isReady, program.ended.then(() => false), late]);
    if (!began) {
      await program.stop();
      throw new Error(`portway ${args.join(' ')} is not ready:\n${program.output}`);
    }
    return program;
  }

  /** Asks it to end; one that does not is ended. */
  async stop() {
    this.process.kill('SIGTERM');
    const impatience = setTimeout(() => this.process.kill('SIGKILL'), PATIENCE_MS);
    await this.ended;
    clearTimeout(impatience);
  }
}

/** Fills in the login page and sends it. */
export async function signIn(page, user, password = `${user}-demo`) {
  await page.getByLabel('User name').fill(user);
  await page.getByLabel('Password').fill(password);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

/** Opens an address of an application and signs in on the way. */
export async function signInAt(page, address, user) {
  await page.goto(address);
  await signIn(page, user);
  await page.waitForURL(address);
}

/** Signs out by the button that every page of the sample applications has. */
export async function signOut(page) {
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'You are signed out' }).waitFor();
}

/** Waits for the login page, and for the application that it leads to if one is named. */
export async function waitForLoginPage(page, application) {
  await page.waitForURL(/^https:\/\/login\.[^/]+\/\.portway\/sign-in/);
  await page.getByLabel('Password').waitFor();
  if (application) await page.getByText(`Sign in to continue to ${application}`).waitFor();
}

/** The cookies of a visitor as `host name`, sorted; the one that is to survive a sign-out left out. */
export async function cookieNames(context) {
  const cookies = (await context.cookies()).filter(({ name }) => !name.includes('-device-'));
  return cookies.map((cookie) => `${cookie.domain.split('.')[0]} ${cookie.name}`).sort();
}

/** A page whose answer is a refusal says so on the console, whatever it holds. */
const REFUSED = /^Failed to load resource: the server responded with a status of (401|403)/;

function keyHash(certificateFile) {
  const { publicKey } = new X509Certificate(readFileSync(certificateFile));
  return createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
}
