// An OCPP 2.0.1 station on ocpp-rpc in strict mode, so that its schemas judge our messages: password, CSR by openssl, mutual TLS, refusal.
// It tells its test what happens with lines that begin with @@.
const { execFileSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');
const { RPCClient } = require('ocpp-rpc');

const { STATION, SERIAL_NUMBER, PASSWORD, ENDPOINT, ROOTS, WORK } = process.env;
const say = (event, more = {}) => process.stdout.write(`@@${JSON.stringify({ event, ...more })}\n`);
const keyFile = path.join(WORK, 'station.key');
const chainFile = path.join(WORK, 'station.chain.pem');
let operator = '';

function client(options, wsOpts = {}) {
  const cli = new RPCClient({
    endpoint: ENDPOINT,
    identity: STATION,
    protocols: ['ocpp2.0.1'],
    strictMode: true,
    reconnect: false,
    wsOpts: { ca: fs.readFileSync(ROOTS), ...wsOpts },
    ...options,
  });
  cli.on('strictValidationFailure', ({ error }) => say('invalid', { error: String(error) }));
  return cli;
}

const boot = (cli) =>
  cli.call('BootNotification', {
    reason: 'PowerUp',
    chargingStation: { vendorName: 'ocpp-rpc', model: 'test', serialNumber: SERIAL_NUMBER },
  });

async function sign(cli) {
  execFileSync('openssl', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', keyFile]);
  const subject = `/O=${operator}/CN=${SERIAL_NUMBER}`;
  const csr = execFileSync('openssl', ['req', '-new', '-key', keyFile, '-subj', subject], { encoding: 'utf8' });
  say('signing', await cli.call('SignCertificate', { csr, certificateType: 'ChargingStationCertificate' }));
}

function answerCommands(cli) {
  cli.handle('SetVariables', ({ params }) => ({
    setVariableResult: params.setVariableData.map(({ component, variable, attributeValue }) => {
      if (variable.name === 'OrganizationName') operator = attributeValue;
      return { attributeStatus: 'Accepted', component, variable };
    }),
  }));
  cli.handle('GetVariables', ({ params }) => ({
    getVariableResult: params.getVariableData.map((asked) => ({ ...asked, attributeStatus: 'Accepted', attributeValue: '1' })),
  }));
  cli.handle('SetNetworkProfile', ({ params }) => {
    say('network-profile', params.connectionData);
    return { status: 'Accepted' };
  });
  cli.handle('TriggerMessage', ({ params }) => {
    if (params.requestedMessage !== 'SignChargingStationCertificate') return { status: 'NotImplemented' };
    setImmediate(() => sign(cli));
    return { status: 'Accepted' };
  });
  cli.handle('CertificateSigned', ({ params }) => {
    fs.writeFileSync(chainFile, params.certificateChain);
    say('installed');
    return { status: 'Accepted' };
  });
  cli.handle('Reset', () => {
    setImmediate(() => changeOver(cli));
    return { status: 'Accepted' };
  });
}

async function changeOver(old) {
  await old.close();
  const credentials = { key: fs.readFileSync(keyFile), cert: fs.readFileSync(chainFile) };
  const cli = client({}, credentials);
  await cli.connect();
  cli.once('close', async ({ code, reason }) => {
    say('closed', { code, reason });
    try {
      await client({}, credentials).connect();
      say('reconnected');
    } catch (error) {
      say('refused', { error: String(error), status: error.code });
    }
    process.exit(0);
  });
  say('mutual-tls', await boot(cli));
}

async function main() {
  const cli = client({ password: PASSWORD });
  answerCommands(cli);
  await cli.connect();
  say('connected');
  say('booted', await boot(cli));
}

main().catch((error) => {
  say('failed', { error: String(error) });
  process.exit(1);
});
