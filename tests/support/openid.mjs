// A real provider of OpenID Connect (oidc-provider, certified) for the tests: PKCE required, one client, users of
// any name whose password is not looked at. Prints its port.

import { generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { request } from 'node:https';

import { Provider } from 'oidc-provider';

// Nobody reads what it warns of: that it is good for tests only.
console.info = console.warn = () => {};

const settings = JSON.parse(process.argv[2]);

const key = (kind, options, alg) => ({
  ...generateKeyPairSync(kind, options).privateKey.export({ format: 'jwk' }),
  use: 'sig',
  ...(alg && { alg }),
  kid: kind,
});

const users = {
  carol: { groups: ['staff', 'admins'], org: { dept: 'Sales' } },
};

/** Posts to the gateway under test, whose names no resolver knows. */
const post = (address, { headers, body }) =>
  new Promise((resolve, reject) => {
    const { port, ca } = JSON.parse(readFileSync(settings.gateway));
    const { hostname, pathname } = new URL(address);
    const options = { host: '127.0.0.1', port, ca, servername: hostname, path: pathname, method: 'POST' };
    const host = { host: hostname, ...Object.fromEntries(new Headers(headers)) };
    const sent = request({ ...options, headers: host }, (answer) => {
      answer.resume();
      resolve(new Response(null, { status: answer.statusCode }));
    });
    sent.on('error', reject);
    sent.end(String(body));
  });

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const provider = new Provider(`http://127.0.0.1:${port}`, {
    clients: [
      {
        client_id: 'portway',
        client_secret: settings.secret,
        redirect_uris: [settings.redirect],
        post_logout_redirect_uris: settings.afterLogout ?? [],
        id_token_signed_response_alg: settings.alg ?? 'RS256',
        token_endpoint_auth_method: settings.auth ?? 'client_secret_basic',
        backchannel_logout_session_required: true,
        ...(settings.keys && { jwks: { keys: settings.keys } }),
        ...(settings.backChannel && { backchannel_logout_uri: settings.backChannel }),
      },
    ],
    jwks: {
      keys: [
        key('rsa', { modulusLength: 2048 }),
        key('ec', { namedCurve: 'P-256' }, 'ES256'),
        key('ed25519', {}, 'EdDSA'),
      ],
    },
    enabledJWA: {
      idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'],
    },
    claims: {
      openid: ['sub'],
      profile: ['name', 'groups', 'org'],
      email: ['email', 'email_verified'],
    },
    // All of it in the ID token, or in the answer of the userinfo endpoint alone.
    conformIdTokenClaims: settings.userinfo ?? false,
    cookies: { keys: ['only for tests'] },
    features: {
      backchannelLogout: { enabled: true },
      devInteractions: { enabled: true },
      rpInitiatedLogout: { enabled: true },
    },
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({
        sub: id,
        name: `${id} of the provider`,
        email: `${id}@idp.test`,
        email_verified: true,
        groups: ['staff'],
        ...users[id],
      }),
    }),
    // Nobody is asked for consent.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope('openid profile email groups offline_access');
      await grant.save();
      return grant;
    },
    fetch: post,
    pkce: { required: () => true },
    renderError: (ctx, out) => {
      ctx.type = 'text/plain';
      ctx.body = JSON.stringify(out);
    },
  });
  server.on('request', provider.callback());
  process.stdout.write(`${port}\n`);
});
