// Runs once, when the database is made: a user who may do in the platform's
// database what the platform does, and nothing elsewhere.
const password = process.env.PLATFORM_PASSWORD;
if (!password) {
  throw new Error('PLATFORM_PASSWORD must be set');
}
db.getSiblingDB('platform').createUser({ user: 'platform', pwd: password, roles: ['readWrite'] });
