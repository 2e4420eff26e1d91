// Sends inference requests at a constant rate, whether or not earlier ones were answered,
// and ends with one JSON line: {"event":"summary", ...}.
//
// Environment:
//   TARGET       URL of the inference endpoint, or grpc://HOST:PORT (required)
//   HOST         Host header (authority of gRPC), when the URL names a gateway
//   MODEL        name of the model to ask by gRPC (default fraud); over HTTP the URL says it
//   RATE         requests a second (default 50)
//   DURATION     how long to send, such as 90s or 5m (default 60s)
//   TIMEOUT      give up on an answer after this long (default 5s)
//   CONNECTIONS  keep (default), or new: one for each request, as a Service without a gateway needs to spread them
//
// A request fails by its status code, or with code "0" when no answer came at all. A gRPC call fails by any status but
// OK, which is counted as code "grpc-N".
import exec from 'k6/execution';
import http from 'k6/http';
import { Counter } from 'k6/metrics';
import grpc from 'k6/net/grpc';

// Only series named before the start reach the summary, hence the list.
const HTTP_FAILURES = ['0', '400', '403', '404', '405', '408', '413', '429', '500', '502', '503', '504'];
const ROWS = 64;
const GRPC = 'grpc://';

const target = setting('TARGET');
const overGrpc = target.startsWith(GRPC);
const FAILURES = overGrpc ? ['0', ...Array.from({ length: 16 }, (_, i) => `grpc-${i + 1}`)] : HTTP_FAILURES;
const rate = positive('RATE', 50);
const timeout = setting('TIMEOUT', '5s');

export const options = {
  scenarios: {
    load: {
      executor: 'constant-arrival-rate',
      // A rate below one a second is a whole number of requests a minute.
      rate: Math.max(1, Math.round(rate * 60)),
      timeUnit: '1m',
      duration: setting('DURATION', '60s'),
      gracefulStop: timeout,
      preAllocatedVUs: Math.ceil(rate / 10) + 5,
      maxVUs: Math.ceil(rate * 2) + 50,
    },
  },
  thresholds: Object.fromEntries(
    FAILURES.map((code) => [`answers{code:${code}}`, ['count>=0']]).concat([['answers{failed:true}', ['count>=0']]]),
  ),
  summaryTrendStats: ['med', 'p(95)', 'p(99)', 'max'],
  discardResponseBodies: true,
  noConnectionReuse: setting('CONNECTIONS', 'keep') === 'new',
  systemTags: ['status'],
  userAgent: 'modelrollout-load',
};

const answers = new Counter('answers');
const rows = makeRows();
const bodies = rows.map((data) => JSON.stringify({ inputs: [{ ...tensor(), data }] }));
const headers = { 'Content-Type': 'application/json' };
if (__ENV.HOST) {
  headers.Host = __ENV.HOST;
}
// Each virtual user has a connection of its own, and connects again when it has lost it.
const client = overGrpc ? new grpc.Client() : null;
let connected = false;
if (overGrpc) {
  client.load(['.'], 'inference.proto');
}

export default function () {
  const turn = exec.scenario.iterationInTest % ROWS;
  const { version, code, failed } = overGrpc ? call(rows[turn]) : post(bodies[turn]);
  answers.add(1, { version: version || 'none', code, failed: String(failed) });
}

function post(body) {
  const response = http.post(target, body, { headers, timeout });
  const failed = response.status === 0 || response.status >= 400;
  return { version: response.headers['X-Model-Version'], code: String(response.status), failed };
}

function call(data) {
  const request = { model_name: setting('MODEL', 'fraud'), inputs: [{ ...tensor(), contents: { fp64_contents: data } }] };
  try {
    if (!connected) {
      client.connect(target.slice(GRPC.length), { plaintext: true, authority: __ENV.HOST || '', timeout });
      connected = true;
    }
    const response = client.invoke('inference.GRPCInferenceService/ModelInfer', request, { timeout });
    const failed = response.status !== grpc.StatusOK;
    const [version] = response.headers['x-model-version'] || [];
    return { version, code: failed ? `grpc-${response.status}` : '200', failed };
  } catch (error) {
    connected = false;
    console.error(String(error));
    return { version: 'none', code: '0', failed: true };
  }
}

export function handleSummary(data) {
  const { metrics } = data;
  const count = (name) => (metrics[name] ? metrics[name].values.count : 0);
  const codes = FAILURES.map((code) => [code, count(`answers{code:${code}}`)]).filter(([, n]) => n > 0);
  const failed = count('answers{failed:true}');
  const other = failed - codes.reduce((sum, [, n]) => sum + n, 0);
  if (other > 0) {
    codes.push(['other', other]);
  }
  const took = metrics[overGrpc ? 'grpc_req_duration' : 'http_req_duration'];
  const times = took ? took.values : {};
  const milliseconds = (name) => (times[name] === undefined ? null : Math.round(times[name] * 100) / 100);
  const summary = {
    event: 'summary',
    seconds: Math.round(data.state.testRunDurationMs) / 1000,
    requests: count('answers'),
    failed,
    failed_by_code: Object.fromEntries(codes),
    latency_ms: { p50: milliseconds('med'), p95: milliseconds('p(95)'), p99: milliseconds('p(99)'), max: milliseconds('max') },
    dropped: count('dropped_iterations'),
  };
  return { stdout: `${JSON.stringify(summary)}\n` };
}

function tensor() {
  return { name: 'features', shape: [1, 4], datatype: 'FP64' };
}

// makeRows returns the same varied rows on every run.
function makeRows() {
  const made = [];
  for (let i = 0; i < ROWS; i += 1) {
    made.push([20 + ((i * 37) % 64) * 18, (i * 5) % 24, (i * 53) % 730, 1 + ((i * 3) % 7)]);
  }
  return made;
}

function setting(name, otherwise) {
  const value = __ENV[name] || otherwise;
  if (value === undefined) {
    throw new Error(`${name} is not set: say --env ${name}=...`);
  }
  return value;
}

function positive(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!(value > 0)) {
    throw new Error(`${name}=${__ENV[name]}: use a number above 0`);
  }
  return value;
}
