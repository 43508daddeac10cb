// Verifies a token with jose, as tokens.sh says.
import assert from 'node:assert/strict'
import { createRemoteJWKSet, jwtVerify, decodeProtectedHeader } from 'jose'

const { URL: base, TOKEN: token, ALG: alg, ISSUER: issuer } = process.env
const keys = createRemoteJWKSet(new URL('/.well-known/jwks.json', base))
const rules = { issuer, audience: issuer, typ: 'at+jwt', algorithms: [alg] }

const { payload, protectedHeader } = await jwtVerify(token, keys, rules)
assert.equal(protectedHeader.alg, alg)
assert.match(payload.sub, /^usr_/)
assert.match(payload.org, /^org_/)

const [head, body, signature] = token.split('.')
const changed = Buffer.from(JSON.stringify({ ...payload, sub: 'usr_other' })).toString('base64url')
const other = alg === 'ES256' ? 'EdDSA' : 'ES256'
for (const [name, text, more] of [
  ['a changed body', [head, changed, signature].join('.'), {}],
  ['no signature', [head, body, ''].join('.'), {}],
  ['alg none', [Buffer.from('{"alg":"none","typ":"at+jwt"}').toString('base64url'), body, ''].join('.'), {}],
  ['another issuer', token, { issuer: 'https://evil.example' }],
  ['another audience', token, { audience: 'https://other.example' }],
  ['another type', token, { typ: 'JWT' }],
  ['another algorithm', token, { algorithms: [other] }],
  ['a time after its end', token, { currentDate: new Date((payload.exp + 1) * 1000) }],
]) {
  await assert.rejects(jwtVerify(text, keys, { ...rules, ...more }), undefined, name)
}
console.log(`jose: ${alg} verified, kid ${decodeProtectedHeader(token).kid}`)
