// Units (UCUM) as people write them. What is not understood stays as the device says it.

/** @type {Map<string, string>} */
const written = new Map(Object.entries({
  Cel: '°C', '[degF]': '°F', deg: '°', Ohm: 'Ω', kOhm: 'kΩ', MOhm: 'MΩ', '[ppm]': 'ppm', '[ppb]': 'ppb', '[ppth]': '‰', '[pH]': 'pH', '[psi]': 'psi',
  'mm[Hg]': 'mmHg', '[in_i]': 'in', '[ft_i]': 'ft', '1': '', '{rpm}': 'rpm', 'B[SPL]': 'B', 'dB[SPL]': 'dB',
}))
const raised = new Map(Object.entries({ '-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴' }))

/**
 * @param {string | undefined} code
 */
export function unitText(code) {
  if (!code) return ''
  const whole = written.get(code)
  if (whole !== undefined) return whole
  if (!/^\/?[A-Za-z%]+-?[0-4]?([./][A-Za-z%]+-?[0-4]?)*$/.test(code)) return code
  return code.replace(/[A-Za-z%]+/g, (part) => written.get(part) ?? part.replace(/^u(?=[a-zA-Z]{1,3}$)/, 'µ'))
    .replace(/-?[0-4]/g, (power) => [...power].map((c) => raised.get(c) ?? c).join('')).replaceAll('.', '·')
}
