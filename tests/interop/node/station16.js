// An OCPP 1.6 station for em-ocpp-chargepoint-simulator, which runs this file: password, CSR by openssl, mutual TLS, refusal.
// It tells its test what happens with lines that begin with @@.
module.exports = async (connect) => {
  const { STATION, SERIAL_NUMBER, URL_WITH_PASSWORD, URL_WITHOUT_PASSWORD } = process.env;
  const say = (event, more = {}) => process.stdout.write(`@@${JSON.stringify({ event, ...more })}\n`);
  const boot = (cp) =>
    cp.sendBootnotification({ chargePointVendor: 'em-ocpp', chargePointModel: 'simulator', chargePointSerialNumber: SERIAL_NUMBER });

  const cp = await connect(URL_WITH_PASSWORD, STATION);
  say('connected');
  let operator = '';
  let key;
  let closes = 0;

  cp.answerExtendedTriggerMessage('SignChargePointCertificate', async (request) => {
    cp.sendResponse(request.uniqueId, { status: 'Accepted' });
    const made = await cp.generateCsr(`/O=${operator}/CN=${SERIAL_NUMBER}`);
    key = made.key;
    say('signing', await cp.sendSignCertificate({ csr: made.csr }));
  });
  cp.answerCertificateSigned((request) => {
    cp.keystore().save('', key, request.payload.certificateChain);
    cp.sendResponse(request.uniqueId, { status: 'Accepted' });
    say('installed');
  });
  cp.answerChangeConfiguration(async (request) => {
    const { key: name, value } = request.payload;
    cp.sendResponse(request.uniqueId, { status: 'Accepted' });
    if (name === 'CpoName') operator = value;
    if (name !== 'SecurityProfile') return;
    cp.config.url = URL_WITHOUT_PASSWORD;
    await cp.reConnect();
    say('mutual-tls', await boot(cp));
  });
  cp.onClose(async () => {
    closes += 1;
    if (closes === 1) return; // our own, to change over to mutual TLS
    say('closed');
    try {
      await cp.reConnect();
      say('reconnected');
    } catch (error) {
      say('refused', { error: String(error) });
    }
    process.exit(0);
  });
  say('booted', await boot(cp));
};
