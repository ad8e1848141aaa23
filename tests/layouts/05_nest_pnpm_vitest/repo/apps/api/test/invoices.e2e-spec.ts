import request from 'supertest';
import { beforeAll, describe, expect, it } from 'vitest';

describe('invoices', () => {
  let server: unknown;

  it('adds up', async () => {
    const answer = await request(server).post('/api/invoices').send({ lines: [1, 2] });
    expect(answer.body.total).toBe(3);
  });
});
