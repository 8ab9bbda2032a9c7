// A certified OpenID provider (panva/node-oidc-provider) whose people sign in by themselves.
//
//   node oidc.mjs PORT CLIENT_SECRET CALLBACK_URL
//
// POST /test/person {"sub", "amr"} says who answers the next interactions. "@@ready" on stdout when it listens.
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';

const [port, secret, callback] = process.argv.slice(2);
const issuer = `http://127.0.0.1:${port}`;
let person = { sub: 'nobody', amr: ['pwd'] };

const provider = new Provider(issuer, {
  clients: [
    {
      client_id: 'chargepki',
      client_secret: secret,
      redirect_uris: [callback],
      grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      require_auth_time: true,
    },
  ],
  claims: { openid: ['sub', 'amr', 'auth_time'], profile: ['preferred_username'] },
  conformIdTokenClaims: false,
  features: { deviceFlow: { enabled: true }, devInteractions: { enabled: false } },
  pkce: { required: () => true },
  cookies: { keys: ['only a test'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: `${id}@idp` }) }),
  interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
});

async function interact(request, response) {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'login') {
    const login = { accountId: person.sub, amr: person.amr };
    return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  grant.addOIDCScope('openid profile');
  return provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } }, { mergeWithLastSubmission: true });
}

function setPerson(request, response) {
  let body = '';
  request.on('data', (chunk) => (body += chunk));
  request.on('end', () => {
    person = JSON.parse(body);
    response.end();
  });
}

const callbackOf = provider.callback();
createServer((request, response) => {
  if (request.url === '/test/person') return setPerson(request, response);
  if (request.url.startsWith('/interaction/')) return interact(request, response).catch((error) => response.destroy(error));
  return callbackOf(request, response);
}).listen(Number(port), '127.0.0.1', () => console.log('@@ready'));
