import Fastify from 'fastify';

const app = Fastify();
app.get('/shop/:id', async (request) => fetch(`http://orders:8000/orders/${request.params.id}`));
app.listen({ port: 3000 });
