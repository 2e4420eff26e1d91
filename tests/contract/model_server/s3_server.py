"""An S3 server that others wrote (moto), with a bucket of a folder's files: `s3_server.py FOLDER`.

It runs in an environment of its own, as what it needs does not go together with what the operator needs. It checks
signatures. It says where it is and which keys it knows in one line of JSON, and ends with its input.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

REGION, BUCKET = "eu-west-1", "models"
ALLOWED = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "1000"  # while users and objects are made

import boto3  # noqa: E402
from moto.server import ThreadedMotoServer  # noqa: E402


def main() -> None:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    url = "http://{}:{}".format(*server.get_host_and_port())
    client = {"endpoint_url": url, "region_name": REGION, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
    iam, s3 = boto3.client("iam", **client), boto3.client("s3", **client)
    iam.create_user(UserName="reader")
    iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=json.dumps(ALLOWED))
    keys = iam.create_access_key(UserName="reader")["AccessKey"]
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    for path in Path(sys.argv[1]).iterdir():
        s3.put_object(Bucket=BUCKET, Key=f"fraud/a model/{path.name}", Body=path.read_bytes())
    urllib.request.urlopen(
        urllib.request.Request(f"{url}/moto-api/reset-auth", b"0", {"Content-Type": "text/plain"})
    ).close()
    environment = {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
    }
    print(json.dumps(environment), flush=True)
    sys.stdin.read()
    server.stop()


if __name__ == "__main__":
    main()
