//! Pages that Portway does not serve: a server on this machine, under the name of a sibling of the
//! demonstration's hosts, to which the browser sends their cookies, and under that of a stranger.
//!
//! Pages that a test only pretends to load would count as public, and Chromium keeps those from framing
//! anything on this machine.

import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';
import { join } from 'node:path';

/** Starts the server; each of its pages holds the `?html=` it is asked for. */
export async function startElsewhere(room) {
  const server = createServer(
    {
      key: readFileSync(join(room.folder, 'key.pem')),
      cert: readFileSync(join(room.folder, 'certificate.pem')),
    },
    (request, answer) => {
      const html = new URL(request.url, 'https://localhost').searchParams.get('html') ?? '';
      answer.writeHead(200, { 'content-type': 'text/html', 'cache-control': 'no-store' });
      answer.end(`<!doctype html><link rel="icon" href="data:,">${html}`);
    },
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const page = (host) => (html) =>
    `https://${host}:${server.address().port}/?html=${encodeURIComponent(html)}`;
  return {
    sibling: page('sibling.portway.localhost'),
    stranger: page('elsewhere.localhost'),
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
