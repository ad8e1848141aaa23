import express from 'express';
import { deliver } from './deliver.mjs';

const app = express();

app.post('/send', async (req, res) => {
  await deliver(req.body.name);
  res.end();
});

app.get('/status/:name', (req, res) => res.json({}));
