// A passkey is made and used in Chromium, with its virtual authenticator; what is
// of another origin, relying party, challenge, person or organization is refused,
// and so is an answer that was used before.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const { chromium } = createRequire(`${process.env.NODE_PATH}/`)('playwright-core');
const origin = process.env.ORIGIN;
const port = new URL(origin).port;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: ['--no-sandbox'] });
const context = await browser.newContext();
// Pages of the application: empty ones, under the origins that the test needs. They
// call the API of the server itself, so other origins go through the test's client.
await context.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: '<!doctype html><title>page</title>' }));

async function call(path, body, token) {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: body === undefined ? 'GET' : 'POST',
    headers: { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const text = await response.text();
  return { status: response.status, body: text ? JSON.parse(text) : null };
}

async function good(path, body, token) {
  const answer = await call(path, body, token);
  assert.ok(answer.status < 300, `${path}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer.body;
}

// device is a page under an origin, with an authenticator of its own.
async function device(at) {
  const page = await context.newPage();
  await page.goto(`${at}/page`);
  const cdp = await context.newCDPSession(page);
  await cdp.send('WebAuthn.enable');
  const { authenticatorId } = await cdp.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2', transport: 'internal', hasResidentKey: true, hasUserVerification: true, isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  });
  return {
    cdp, authenticatorId,
    make: (options) => page.evaluate(async (o) => (await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(o) })).toJSON(), options),
    show: (options) => page.evaluate(async (o) => (await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(o) })).toJSON(), options),
  };
}

async function person(name) {
  const made = await good('/v1/auth/signup', { email: `${name}@example.org`, password: 'violet tractor 9 umbrella', name, organization: name });
  return { token: made.tokens.access_token, organization: made.organization.id };
}

const options = async () => (await good('/v1/auth/passkey/options', null)).public_key;
const verify = (passkey, more) => call('/v1/auth/passkey/verify', { passkey, ...more });
async function refused(what, passkey, status = 401) {
  const answer = await verify(passkey);
  assert.equal(answer.status, status, `${what}: ${answer.status} ${JSON.stringify(answer.body)}`);
  console.log(`refused: ${what}`);
}

try {
  const ann = await person('ann');
  const laptop = await device(origin);
  const begun = (await good('/v1/me/passkeys/options', {}, ann.token)).public_key;
  const added = await good('/v1/me/passkeys', { name: 'Laptop', passkey: await laptop.make(begun) }, ann.token);
  assert.equal(added.recovery_codes.length, 10);
  const { credentials } = await laptop.cdp.send('WebAuthn.getCredentials', { authenticatorId: laptop.authenticatorId });
  assert.equal(credentials.length, 1);
  assert.equal(credentials[0].isResidentCredential, true);

  const answer = await laptop.show(await options());
  const signedIn = await verify(answer);
  assert.equal(signedIn.status, 200, JSON.stringify(signedIn.body));
  assert.equal((await good('/v1/me', undefined, signedIn.body.access_token)).email, 'ann@example.org');
  console.log('a passkey was made and used');
  await refused('an answer that was used before', answer);

  const invented = { ...(await options()), challenge: 'aW52ZW50ZWQtaW52ZW50ZWQtaW52ZW50ZWQ' };
  await refused('an invented challenge', await laptop.show(invented));

  // Another origin of the same host, to which the browser gives the passkey too.
  const elsewhere = await device(`http://localhost:${Number(port) + 1}`);
  await elsewhere.cdp.send('WebAuthn.addCredential', {
    authenticatorId: elsewhere.authenticatorId,
    credential: (await laptop.cdp.send('WebAuthn.getCredentials', { authenticatorId: laptop.authenticatorId })).credentials[0],
  });
  await refused('another origin', await elsewhere.show(await options()));

  // Another relying party: the browser refuses ours on its pages, and the server
  // refuses what it makes for its own.
  const stranger = await device(`http://evil.localhost:${port}`);
  const fresh = (await good('/v1/me/passkeys/options', {}, signedIn.body.access_token)).public_key;
  await assert.rejects(stranger.make({ ...fresh, rp: { ...fresh.rp, id: 'example.com' } }), /SecurityError|relying party/i);
  const foreign = await stranger.make({ ...fresh, rp: { ...fresh.rp, id: 'evil.localhost' }, excludeCredentials: [] });
  const taken = await call('/v1/me/passkeys', { name: 'Foreign', passkey: foreign }, signedIn.body.access_token);
  assert.equal(taken.status, 401, JSON.stringify(taken.body));
  await refused('another relying party', await stranger.show({ ...(await options()), rpId: 'evil.localhost' }));

  // Another person's half-done sign-in, and an organization that one is not in.
  const ben = await person('ben');
  const bens = await device(origin);
  const benBegun = (await good('/v1/me/passkeys/options', {}, ben.token)).public_key;
  await good('/v1/me/passkeys', { name: 'Phone', passkey: await bens.make(benBegun) }, ben.token);
  const half = (await good('/v1/auth/login', { email: 'ben@example.org', password: 'violet tractor 9 umbrella' })).factor;
  const factor = (await good('/v1/auth/factor/options', { sign_in: half.sign_in })).passkey;
  const wrong = await laptop.show({ ...factor, allowCredentials: [] });
  const other = await call('/v1/auth/factor/verify', { sign_in: half.sign_in, passkey: wrong });
  assert.equal(other.status, 401, JSON.stringify(other.body));
  const right = (await good('/v1/auth/factor/options', { sign_in: half.sign_in })).passkey;
  await good('/v1/auth/factor/verify', { sign_in: half.sign_in, passkey: await bens.show(right) });
  console.log("refused: another person's passkey");
  const outside = await verify(await laptop.show(await options()), { organization: ben.organization });
  assert.equal(outside.status, 403, JSON.stringify(outside.body));
  console.log('refused: an organization that one is not in');

  // The user was not verified.
  await laptop.cdp.send('WebAuthn.setUserVerified', { authenticatorId: laptop.authenticatorId, isUserVerified: false });
  await assert.rejects(laptop.show(await options()), /NotAllowedError/);
  console.log('refused: a user who was not verified');
} finally {
  await browser.close();
}
