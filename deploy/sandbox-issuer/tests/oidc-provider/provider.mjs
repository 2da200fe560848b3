// An issuer that the OpenID Foundation has certified, with the clients and people of the sandbox issuer: the same test runs on
// both. Its own pages take any password, so people are known by their `sub`. Prints where it listens.
import { createServer } from 'node:http';
import { generateKeyPairSync } from 'node:crypto';
import Provider from 'oidc-provider';

const ROLES = { 'c-1001': ['customer'], 's-2001': ['staff'] };
const SCOPES = 'orders.read orders.write';
const RESOURCE = 'urn:quadrille';

const key = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });

const configuration = {
  jwks: { keys: [{ ...key, kid: 'one', use: 'sig', alg: 'ES256' }] },
  cookies: { keys: ['of this run'] },
  scopes: ['openid', 'profile', 'email', ...SCOPES.split(' ')],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clients: [
    {
      client_id: 'shop',
      client_secret: 'sandbox-shop',
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
    },
    {
      client_id: 'quadrille-cli',
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      grant_types: ['authorization_code', 'refresh_token'],
      redirect_uris: ['http://127.0.0.1/callback'],
    },
  ],
  findAccount: (_, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  extraTokenClaims: (_, token) => ({ roles: ROLES[token.accountId] ?? [] }),
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: () => true,
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => RESOURCE,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: SCOPES,
        audience: 'quadrille',
        accessTokenFormat: 'jwt',
        accessTokenTTL: 600,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
};

const server = createServer();
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  server.on('request', new Provider(url, configuration).callback());
  console.log(`listening at ${url}`);
});
