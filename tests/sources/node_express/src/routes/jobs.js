const express = require('express');
const axios = require('axios');
const fs = require('fs');
const { loadJob, loadTags } = require('../store');

const router = express.Router();
const wrap = (handler) => (req, res, next) => handler(req, res).catch(next);

router.get('/:id', wrap(async (req, res) => {
  const job = await loadJob(req.params.id);
  const tags = await loadTags(req.params.id);
  const template = fs.readFileSync('template.html', 'utf8');
  res.send(render(template, job, tags));
}));

router.route('/').post(async function create(req, res) {
  for (const name of req.body.names) {
    await axios.post('http://mailer:4000/send', { name });
  }
  await Promise.all(req.body.names.map(async (name) => {
    await axios.get(`http://mailer:4000/status/${name}`);
  }));
  res.status(201).end();
});

function render(template, job, tags) {
  return template.replace('{job}', job.name) + tags.map((tag) => tag.name);
}

module.exports = router;
