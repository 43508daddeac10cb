// Session cookies as Chromium keeps and sends them. The arguments are the URLs of
// two servers on localhost, which share cookies because cookies know no ports.
'use strict';
const assert = require('node:assert/strict');
const { chromium } = require('playwright-core');

const [one, two] = process.argv.slice(2);
const password = 'correct horse battery staple';
const person = { email: 'ann@example.com', password, name: 'Ann', organization: "Ann's", session: 'cookie' };

// ask calls from the page's own script, as an app does.
const ask = (page, method, url, body, mode) => page.evaluate(async ([method, url, body, mode]) => {
  const answer = await fetch(url, {
    method, mode, credentials: 'include', body: body && JSON.stringify(body),
    headers: body ? { 'Content-Type': 'application/json' } : {},
  });
  const text = await answer.text();
  return { status: answer.status, body: text && JSON.parse(text), header: Object.fromEntries(answer.headers) };
}, [method, url, body, mode]);

// open is a page of an origin; the context lets its scripts run.
const open = async (context, origin) => {
  const page = await context.newPage();
  await page.goto(`${origin}/livez`);
  return page;
};

// posted submits a form, as any page may without asking, and returns the status.
const posted = async (page, url) => {
  const answered = page.waitForResponse(url);
  await page.evaluate((url) => {
    const form = document.createElement('form');
    Object.assign(form, { method: 'POST', action: url });
    document.documentElement.append(form);
    form.submit();
  }, url);
  return (await answered).status();
};

const checks = {
  async 'the cookie is host-only, HttpOnly, Secure and SameSite=Lax, and no script reads it'(context) {
    const page = await open(context, one);
    const made = await ask(page, 'POST', `${one}/v1/auth/signup`, person);
    assert.equal(made.status, 201, JSON.stringify(made));
    assert.equal(made.body.tokens.access_token, undefined);
    const [cookie] = await context.cookies(one);
    assert.match(cookie.name, /^__Host-session-/);
    assert.deepEqual([cookie.domain, cookie.path, cookie.httpOnly, cookie.secure, cookie.sameSite], ['localhost', '/', true, true, 'Lax']);
    assert.equal(await page.evaluate(() => document.cookie), '');
    assert.equal((await ask(page, 'GET', `${one}/v1/me`)).status, 200);
  },
  async 'another platform on the host has a cookie of its own'(context) {
    const page = await open(context, two);
    assert.equal((await ask(page, 'GET', `${two}/v1/me`)).status, 401);
    assert.equal((await ask(page, 'POST', `${two}/v1/auth/signup`, person)).status, 201);
    assert.equal((await context.cookies(one)).length, 2);
    for (const url of [one, two]) {
      assert.equal((await ask(await open(context, url), 'GET', `${url}/v1/me`)).status, 200);
    }
  },
  async 'a page of another origin changes nothing: 403 from the same site, no cookie from elsewhere'(context) {
    assert.equal(await posted(await open(context, two), `${one}/v1/auth/logout`), 403);
    const stranger = `http://evil.test:${new URL(two).port}`;
    assert.equal(await posted(await open(context, stranger), `${one}/v1/auth/logout`), 401);
    const page = await open(context, two);
    await assert.rejects(ask(page, 'GET', `${one}/v1/me`), /Failed to fetch/);
    assert.equal((await ask(await open(context, one), 'GET', `${one}/v1/me`)).status, 200);
  },
  async 'one laptop is one row, through a sign-in and a change of organization'(context) {
    const page = await open(context, one);
    const values = new Set();
    const note = async () => values.add((await context.cookies(one)).map((c) => c.value).join());
    await note();
    assert.equal((await ask(page, 'POST', `${one}/v1/auth/login`, { email: person.email, password, session: 'cookie' })).status, 200);
    await note();
    const second = await ask(page, 'POST', `${one}/v1/organizations`, { name: 'Second' });
    assert.equal((await ask(page, 'POST', `${one}/v1/auth/switch`, { organization: second.body.id })).status, 200);
    await note();
    const rows = (await ask(page, 'GET', `${one}/v1/me/sessions`)).body.data;
    assert.equal(rows.length, 1, JSON.stringify(rows));
    assert.equal(rows[0].name, 'Chrome on Linux');
    assert.equal(rows[0].organizations.length, 2);
    assert.equal(values.size, 3, 'each has a new value');
  },
  async 'server-sent events work with the cookie'(context) {
    const page = await open(context, one);
    const event = await page.evaluate((url) => new Promise((resolve, reject) => {
      const events = new EventSource(url, { withCredentials: true });
      for (const name of ['message', 'open']) events.addEventListener(name, () => { events.close(); resolve(name); });
      events.onerror = () => reject(new Error('no stream'));
    }), `${one}/v1/notify/inbox/stream`);
    assert.ok(event);
  },
  async 'over plain HTTP beyond loopback a cookie is refused with the reason'(context) {
    const port = new URL(one).port;
    const origin = `http://platform.test:${port}`;
    const page = await open(context, origin);
    const refused = await ask(page, 'POST', `${origin}/v1/auth/login`, { email: person.email, password, session: 'cookie' });
    assert.deepEqual([refused.status, refused.body.code], [422, 'insecure_origin']);
    const tokens = await ask(page, 'POST', `${origin}/v1/auth/login`, { email: person.email, password });
    assert.equal(tokens.status, 200);
    // What it is refused for: the browser says nothing and keeps nothing.
    for (const [url, kept] of [[origin, 0], [one, 1]]) {
      await page.route(`${url}/set`, (route) => route.fulfill({ headers: { 'Set-Cookie': '__Host-x=1; Path=/; Secure; HttpOnly' }, body: '' }));
      await page.goto(`${url}/set`);
      assert.equal((await context.cookies(url)).filter((c) => c.name === '__Host-x').length, kept, url);
    }
  },
  async 'signing out takes the cookie away'(context) {
    const page = await open(context, one);
    const before = (await context.cookies(one)).length;
    assert.equal((await ask(page, 'POST', `${one}/v1/auth/logout`, {})).status, 204);
    assert.equal((await context.cookies(one)).length, before - 1);
    assert.equal((await ask(page, 'GET', `${one}/v1/me`)).status, 401);
  },
};

(async () => {
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM, args: ['--no-sandbox', '--host-resolver-rules=MAP *.test 127.0.0.1'],
  });
  const context = await browser.newContext({ bypassCSP: true });
  let failed = 0;
  for (const [what, check] of Object.entries(checks)) {
    try {
      await check(context);
      console.log(`ok: ${what}`);
    } catch (error) {
      failed++;
      console.log(`FAILED: ${what}\n${error.stack}`);
    }
  }
  console.log(`${browser.version()}: ${Object.keys(checks).length - failed} passed, ${failed} failed`);
  await browser.close();
  process.exit(failed ? 1 : 0);
})();
