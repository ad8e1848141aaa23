const express = require('express');
const jobs = require('./routes/jobs');

const app = express();
app.use('/api/jobs', jobs);
app.get('/health', (req, res) => res.json({ ok: true }));

app.listen(3000);
