const request = require('supertest');
const app = require('../../src/app');

describe('users', () => {
  it('creates a user (and says so)', async () => {
    await request(app).post('/api/users').send({ name: 'A B' }).expect(201);
  });

  it('shows a user', async () => {
    await request(app).get('/api/users/a-b').expect(200);
  });
});
