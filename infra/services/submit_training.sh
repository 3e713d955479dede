# Submits its arguments, a command's words, to the Ray cluster of a RayJob, and follows the log until the job has ended.
# KubeRay names the cluster and the job, and asks Ray how the job went. An error here says that the head is lost: the
# pod's Job makes another pod, which submits to the next head.
set -euo pipefail
export RAY_API_SERVER_ADDRESS="http://$RAY_DASHBOARD_ADDRESS"
until python -c "import urllib.request as web; web.urlopen('$RAY_API_SERVER_ADDRESS/api/gcs_healthz', timeout=5)" 2>&-; do
    echo "waiting for Ray at $RAY_API_SERVER_ADDRESS"
    sleep 2
done
ray job status "$RAY_JOB_SUBMISSION_ID" >/dev/null 2>&1 ||
    ray job submit --no-wait --submission-id "$RAY_JOB_SUBMISSION_ID" -- "$@"
ray job logs --follow "$RAY_JOB_SUBMISSION_ID"
# A head that is told to stop ends the log as if the job had ended (Ray 2.60).
python -c "import os, sys; from ray.job_submission import JobSubmissionClient
sys.exit(not JobSubmissionClient().get_job_status(os.environ['RAY_JOB_SUBMISSION_ID']).is_terminal())" 2>&- || {
    echo "the head is lost before the job has ended" >&2
    exit 1
}
