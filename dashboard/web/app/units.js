// Units as people write them, for those of UCUM that they would not recognise.

/** @type {Record<string, string>} */
const written = {
  Cel: '°C', '[degF]': '°F', K: 'K', deg: '°', Ohm: 'Ω', kOhm: 'kΩ', MOhm: 'MΩ', um: 'µm', us: 'µs', uA: 'µA', uV: 'µV', 'ug/m3': 'µg/m³',
  'mg/m3': 'mg/m³', m2: 'm²', m3: 'm³', 'm3/h': 'm³/h', 'm/s2': 'm/s²', 'W/m2': 'W/m²', 'kW.h': 'kWh', 'W.h': 'Wh', '[ppm]': 'ppm', '[ppb]': 'ppb',
  '[ppth]': '‰', '[pH]': 'pH', '[psi]': 'psi', 'mm[Hg]': 'mmHg', '/min': '1/min', '{rpm}': 'rpm', 'dB[SPL]': 'dB', '1': '', 'l/min': 'l/min', 'B[SPL]': 'B',
}

/**
 * @param {string | undefined} ucum
 */
export function unitText(ucum) {
  if (!ucum) return ''
  return written[ucum] ?? ucum.replace(/[{}]/g, '')
}
