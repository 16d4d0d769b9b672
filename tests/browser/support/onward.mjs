//! A second gateway over the demonstration's folder, with one more application behind it: it redirects
//! every request somewhere else, as applications with a sign-in of their own do.

import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createListener } from 'node:net';
import { join } from 'node:path';

import { Program } from './room.mjs';

/** Starts it; everything below `/onward` answers with a redirect to `target(port)`. */
export async function startOnward(room, target) {
  const [https, http] = await freePorts(2);
  const application = createServer((_, answer) => {
    answer.writeHead(302, { location: target(https) }).end();
  });
  application.listen(0, '127.0.0.1');
  await once(application, 'listening');
  const config = join(room.folder, 'a', 'onward.yaml');
  writeFileSync(config, withOnward(room, https, http, application.address().port));
  const gateway = await Program.start(['run', '--config', config], /listening listener="?https/);
  return {
    url: (host, path) => `https://${host}.portway.localhost:${https}${path}`,
    stop: async () => {
      await gateway.stop();
      application.close();
    },
  };
}

function withOnward(room, https, http, upstream) {
  const ports = [https, http];
  return room
    .configuration()
    // One data centre is enough here.
    .replace(/# A session has one holder[^]*?(?=policies:)/, '')
    .replace('state_dir: state', 'state_dir: onward')
    .replace(/bind: 127\.0\.0\.1:\d+/g, () => `bind: 127.0.0.1:${ports.shift()}`)
    .replace('pools:\n', `pools:\n  onward:\n    primary: [127.0.0.1:${upstream}]\n`)
    .replace('routes:\n', 'routes:\n      - {path: /onward, access: protected, policy: everyone, pool: onward}\n');
}

/**
 * Redirects carry the ports, so the configuration must name them. They lie outside the range that the
 * system lends to connections, so that none has one when the gateway comes for it.
 */
async function freePorts(count) {
  const found = [];
  while (found.length < count) {
    const port = 10_000 + Math.floor(Math.random() * 20_000);
    if (!found.includes(port) && (await isFree(port))) found.push(port);
  }
  return found;
}

function isFree(port) {
  return new Promise((resolve) => {
    const listener = createListener();
    listener.once('error', () => resolve(false));
    listener.listen(port, '127.0.0.1', () => listener.close(() => resolve(true)));
  });
}
